"""The settings of the whole fleet: one tree, from `fleet.yaml` and `FLEET_*` environment variables.

A nested key is written with two underscores: `FLEET_KAFKA__BOOTSTRAP_SERVERS`. The environment goes before
the file, the file before the defaults. A key that does not exist, or a value that cannot be, is an error that
names it. Passwords are `SecretStr`: they show as asterisks in logs and `repr`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, get_origin

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from agents.runtime.failpoints import FailPoint
from schemas.media import ContentType

ENVIRONMENT_PREFIX = "FLEET_"
_OWN_VARIABLES = frozenset({"FLEET_CONFIG", "FLEET_DATA"})
"""Variables that are not settings: where the file lies, and where the tests find shared data."""

_DEFAULT_FILE = Path("fleet.yaml")

Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
PolicyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]


class SettingsInvalid(Exception):
    """The settings cannot be used; the message names each key and what is wrong with it."""


def default_cache() -> Path:
    """Return the folder for what is fetched once: `$XDG_CACHE_HOME/deepfake-fleet`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deepfake-fleet"


class Section(BaseModel):
    """A branch of the tree."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        # A secret in the wrong place must not show in an error, nor in the traceback of one.
        hide_input_in_errors=True,
    )


class KafkaSettings(Section):
    """The broker, and how groups and producers use it."""

    bootstrap_servers: str = "localhost:9092"
    """Comma-separated `host:port` of brokers to start from."""
    broker: Literal["kafka", "embedded"] = "kafka"
    """`embedded` for the demo's broker, which needs other group options than Apache Kafka."""
    topic_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]*$", max_length=100)] = ""
    """Put before the name of every topic and group: several fleets on one cluster."""
    replication_factor: Positive = 1
    """Copies of each topic that `fleet topics create` asks for."""
    group_protocol: Literal["auto", "consumer", "classic"] = "auto"
    """`consumer` is KIP-848, `classic` cooperative-sticky, `auto` KIP-848 where the broker has it."""
    static_membership: bool = True
    """Whether a restarted worker keeps its partitions (needs `runtime.instance`; not with `embedded`)."""
    session_timeout_s: Seconds = 45.0
    """After how long without a heartbeat a worker counts as dead, seconds (classic groups)."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to the brokers."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How to log in."""
    sasl_username: str | None = None
    """As whom."""
    sasl_password: SecretStr | None = None
    """With what."""
    ssl_ca_location: Path | None = None
    """Certificates to trust, PEM; by default the system's."""
    ssl_certificate_location: Path | None = None
    """The client's certificate, PEM."""
    ssl_key_location: Path | None = None
    """The client's key, PEM."""
    ssl_key_password: SecretStr | None = None
    """The key's password."""

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        login = (self.sasl_mechanism, self.sasl_username, self.sasl_password)
        if self.security_protocol.startswith("SASL") and None in login:
            raise ValueError(
                f"security_protocol {self.security_protocol} needs mechanism, username and password of sasl"
            )
        if not self.security_protocol.startswith("SASL") and any(part is not None for part in login):
            raise ValueError(f"security_protocol {self.security_protocol} takes no sasl_* settings")
        if (self.ssl_certificate_location is None) != (self.ssl_key_location is None):
            raise ValueError("ssl_certificate_location and ssl_key_location go together")
        return self


class RedisSettings(Section):
    """Redis or Valkey: windows, completion of segments, earlier verdicts."""

    url: SecretStr = SecretStr("redis://localhost:6379/0")
    """`redis://`, `rediss://` or `unix://` one server; `redis+cluster://host:port,…` a cluster by some of its nodes;
    `redis+sentinel://host:port,…/service/0` the primary that Sentinels name; `rediss+…` over TLS."""
    key_prefix: str = "fleet:"
    """Put before every key."""
    timeout_s: Seconds = 5.0
    """For connecting and for an answer, seconds."""
    window_ttl_s: Seconds = 86_400.0
    """How long the state of an unfinished upload is kept, seconds."""
    verdict_ttl_s: Seconds = 604_800.0
    """How long a re-upload is answered from an earlier verdict, seconds."""


class PostgresSettings(Section):
    """The database that the sink writes to."""

    url: SecretStr = SecretStr("postgresql://localhost:5432/postgres")
    """A libpq connection URI."""
    connect_timeout_s: Positive = 10
    """Seconds."""
    statement_timeout_s: Seconds = 30.0
    """The longest that one statement may take, seconds."""


class RuntimeSettings(Section):
    """The loop that every agent of the data plane runs in."""

    instance: str = ""
    """Name of this worker within its group, stable over restarts (a StatefulSet's pod name)."""
    in_flight_mib: Positive = 64
    """Bytes of messages that are read and not yet done before a lane pauses, MiB."""
    drain_timeout_s: Seconds = 25.0
    """How long a revoke or SIGTERM waits for work in flight, seconds."""
    max_attempts: Positive = 3
    """How often a message whose handler failed unexpectedly is tried before it is a dead letter."""
    max_consecutive_rejects: Positive = 100
    """So many dead letters in a row stop the agent: a bad deploy must not drain a topic."""
    retry_backoff_s: Seconds = 0.2
    """First pause before trying again while something is away; doubles up to 10 s."""
    health_host: str = "127.0.0.1"
    """Where /health and /metrics listen."""
    health_port: Annotated[int, Field(ge=-1, le=65_535)] = 0
    """0 takes a free port, -1 opens none."""
    stalled_after_s: Seconds = 60.0
    """Liveness fails when the loop has not turned for so long, seconds."""
    failpoints: dict[FailPoint, Positive] = {}
    """Points at which the process kills itself when it passes them for the so-many-th time; for `fleet chaos` alone."""
    log_format: Literal["text", "json"] = "text"
    """How log lines are written."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """From which level."""


class ModelSettings(Section):
    """Where models come from and where they run."""

    manifest: Path | None = None
    """A manifest to use in place of the fleet's own."""
    cache: Path = Field(default_factory=lambda: default_cache() / "models")
    """Where weights are kept."""
    offline: bool = False
    """Refuse to fetch weights: they must be in the cache."""
    roles: tuple[Literal["screen", "primary", "synthetic", "liveness"], ...] = (
        "screen",
        "primary",
        "synthetic",
        "liveness",
    )
    """The roles to load, of those that the manifest has."""
    provider: Literal["auto", "tensorrt", "cuda", "cpu"] = "auto"
    """Where inference runs; `auto` takes the fastest that the machine has."""
    gpu_memory_mib: Annotated[int, Field(ge=0)] = 0
    """The most that one model may take of a GPU, MiB; 0 sets no limit."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads of an inference session; 0 takes what the CPU quota allows."""
    batch_limit_s: Seconds = 60.0
    """How long a batch may take before it is ended and its segment tried again, seconds."""
    batch_delay_ms: Annotated[float, Field(ge=0)] = 4.0
    """The longest that a crop waits for others to fill its batch, milliseconds."""
    memory_reserve_mib: Annotated[int, Field(ge=0)] = 256
    """Left free beside models; where there is not so much, a smaller model stands in, MiB."""
    memory_check_s: Seconds = 10.0
    """How often it is looked whether there is room again for what had none, seconds."""


class MediaSettings(Section):
    """Which media are opened, from where, and at what cost."""

    allowed_roots: tuple[Path, ...] = ()
    """Folders that `file:` URIs may point into; none by default."""
    allowed_schemes: tuple[str, ...] = ("file", "http", "https", "s3", "gs", "az")
    """URI schemes that are opened."""
    allow_private_addresses: bool = False
    """Whether http(s) may reach loopback and private networks. For demos and tests."""
    max_bytes: Positive = 8 * 1024**3
    """The largest media, bytes."""
    connect_timeout_s: Seconds = 5.0
    """Seconds."""
    read_timeout_s: Seconds = 15.0
    """Between two pieces of an answer, seconds."""
    max_redirects: Annotated[int, Field(ge=0)] = 5
    """Redirects that are followed."""
    block_kib: Annotated[int, Field(ge=16)] = 256
    """How much a range request asks for, KiB."""
    cache_mib: Positive = 32
    """Blocks kept of one open media, MiB."""
    decode_workers: Annotated[int, Field(ge=0)] = 0
    """Decoder processes; 0 takes one for each handler."""
    hardware_decoding: Literal["none", "cuda"] = "none"
    """`cuda` decodes videos on the GPU (NVDEC) where it can, the others in software; see docs/architecture.md."""
    decode_timeout_s: Seconds = 120.0
    """The longest that decoding one segment may take, seconds."""
    max_pixels: Positive = 100_000_000
    """The largest picture, pixels."""
    max_side: Annotated[int, Field(ge=64)] = 1920
    """Frames are brought to this longest side before faces are cut, pixels."""


class UploadsSettings(Section):
    """Planning."""

    concurrency: Positive = 4
    """Uploads handled at once."""
    segment_s: Seconds = 60.0
    """Length of the time ranges that a long video is planned into, seconds."""
    max_duration_s: Seconds = 6 * 3600.0
    """Longer videos are unsupported, seconds."""
    trust_declared_sha256: bool = False
    """Whether an upload that declares its checksum is not read as a whole to verify it."""


class SegmentsSettings(Section):
    """Scoring."""

    concurrency: Positive = 2
    """Segments handled at once by one worker process."""
    bulk_share: Share = 0.2
    """The share of turns that the bulk lane gets while interactive work waits."""
    max_attempts: Positive = 5
    """How often a segment is begun, its worker dying each time, before it counts as undecodable."""
    max_faces: Positive = 16
    """Of a crowd the largest faces are judged, so many a frame."""
    detection_side: Annotated[int, Field(ge=64)] = 640
    """Faces are looked for in a frame reduced to this longest side, pixels."""
    timeline_frames: Annotated[int, Field(ge=0)] = 32
    """Frames in a verdict without `detailed_timeline`."""


class FramesSettings(Section):
    """Scoring live frames."""

    batch_frames: Positive = 16
    """Frames scored together at most, of all streams."""
    batch_delay_ms: Annotated[float, Field(ge=0)] = 10.0
    """How long the first frame of a batch waits for others, milliseconds."""
    max_delay_s: Seconds = 1.0
    """How long a frame may wait to be scored before some are let go, seconds."""
    queue_frames: Positive = 2048
    """Frames that wait in memory at most."""
    max_skew_s: Seconds = 10.0
    """A frame captured so far in the future is taken to be captured now, seconds."""
    window_frames: Annotated[int, Field(ge=1, le=10_000)] = 600
    """Frames of a stream that are remembered at most."""
    window_ttl_s: Seconds = 600.0
    """How long a stream that fell silent is remembered, seconds."""
    verdict_every_s: Seconds = 10.0
    """How often a stream gets a verdict, seconds of its own time."""
    asked_for_s: Seconds = 2.0
    """How late a change of what was asked of a stream is noticed, seconds."""
    detection_side: Annotated[int, Field(ge=64)] = 640
    """Faces are looked for in a frame reduced to this longest side, pixels."""
    max_faces: Positive = 8
    """Of a crowd the largest faces are judged, so many a frame."""


class EvidenceSettings(Section):
    """Where pictures of faces are kept for moderators."""

    url: str = ""
    """A folder, or an object store's URL (`s3://…`, see docs/configuration.md); nothing keeps none."""
    keep_days: Positive = 7
    """After how many days they are removed."""


class LiveServerSettings(Section):
    """A live server, or several that answer for one name."""

    kind: Literal["nginx-rtmp", "srs", "mediamtx", "node-media-server"]
    """Which program."""
    api_urls: tuple[str, ...]
    """Where its HTTP interface begins; of several servers, each one's."""
    tenant: str = "default"
    """Whose policy says whether anybody may publish while Redis is away."""
    username: str | None = None
    """To log in to its interface as."""
    password: SecretStr | None = None
    """With what."""
    token: SecretStr | None = None
    """Or a bearer token."""


class BlockingSettings(Section):
    """Live servers, and how publishers are thrown out of them."""

    servers: dict[str, LiveServerSettings] = {}
    """By the name that `StreamControl.server` and the door's paths use."""
    timeout_s: Seconds = 2.0
    """For an answer of a live server, seconds."""
    confirm_s: Seconds = 10.0
    """How long it is looked whether a publisher is gone, and tried again, seconds."""
    poll_s: Seconds = 0.1
    """How often, seconds."""


class DoorSettings(Section):
    """The service that live servers ask whether somebody may publish."""

    host: str = "127.0.0.1"
    """Where it listens."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8642
    """0 takes a free port."""
    token: SecretStr | None = None
    """What the live servers' URLs must carry as `token`."""
    redis_timeout_s: Seconds = 0.25
    """After how long without an answer Redis counts as away, seconds."""
    max_body_kib: Positive = 64
    """The largest question, KiB."""


class WebhookSettings(Section):
    """A webhook after Standard Webhooks."""

    url: SecretStr
    """Where to; https unless `hooks.allow_http`."""
    secrets: Annotated[tuple[SecretStr, ...], Field(min_length=1)]
    """`whsec_` and Base64; of several, messages are signed with each."""
    transitions: tuple[Literal["raised", "escalated", "cleared"], ...] = ("raised", "escalated", "cleared")
    """Of which alerts."""


class TellSettings(Section):
    """Who is told of alerts."""

    webhooks: dict[str, WebhookSettings] = {}
    """By a name that stays."""
    chats: dict[str, SecretStr] = {}
    """URLs that take `{"text": …}`, as those of Slack and Mattermost do; by a name that stays."""
    mail_to: tuple[Annotated[str, Field(pattern=r"^[^@\s<>,]+@[^@\s<>,]+$", max_length=254)], ...] = ()
    """Mailboxes."""


class SmtpSettings(Section):
    """The server that takes e-mail."""

    host: str = ""
    """Nothing sends none."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    """Usually 587 with starttls, 465 with tls."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted."""
    username: str | None = None
    """To log in as."""
    password: SecretStr | None = None
    """With what."""
    sender: Annotated[str, Field(pattern=r"^[^@\s<>,]+@[^@\s<>,]+$")] = "deepfake-fleet@localhost"
    """From whom."""
    pictures: bool = False
    """Whether the alert's picture is attached."""
    timeout_s: Seconds = 10.0
    """For each answer of the server, seconds."""


class HooksSettings(Section):
    """Acting on alerts."""

    everybody: TellSettings = TellSettings()
    """Told of the alerts of all tenants."""
    tenants: dict[str, TellSettings] = {}
    """Told of one tenant's alerts."""
    callback_hosts: tuple[str, ...] = ()
    """Hosts that `StreamControl.callback` may name."""
    callback_secrets: tuple[SecretStr, ...] = ()
    """That callbacks are signed with."""
    smtp: SmtpSettings = SmtpSettings()
    """For `mail_to`."""
    allow_http: bool = False
    """Whether webhooks and chats may be without TLS."""
    private_hosts: tuple[str, ...] = ()
    """Hosts of webhooks and chats that may have private addresses."""
    timeout_s: Seconds = 10.0
    """For an answer of a webhook or chat, seconds."""
    give_up_after_s: Seconds = 86_400.0
    """How long a delivery is tried, seconds."""
    hold_off_s: Annotated[float, Field(ge=0)] = 3600.0
    """After a person has said that a stream is authentic, it is not blocked for so long, seconds."""
    sweep_s: Seconds = 1.0
    """How often it is looked which blocks are over, seconds."""


class StreamsSettings(Section):
    """Pulling live streams."""

    max_streams: Positive = 64
    """Streams that one worker pulls, at most."""
    allowed_hosts: tuple[str, ...] = ()
    """Names or addresses of live servers that may be pulled from although their addresses are private ones."""
    max_side: Annotated[int, Field(ge=160, le=4096)] = 1280
    """Frames are brought to this longest side, pixels."""
    jpeg_quality: Annotated[int, Field(ge=50, le=100)] = 90
    """Of the published frames."""
    open_timeout_s: Seconds = 10.0
    """How long a connection may take until video is found, seconds."""
    read_timeout_s: Seconds = 5.0
    """How long a live stream may be silent before it is connected to anew, seconds."""
    retry_s: Seconds = 1.0
    """Bound of the first pause before a stream that broke off is connected to again; doubles, seconds."""
    retry_most_s: Seconds = 30.0
    """The highest bound of such pauses; of what is no stream, or not allowed, the usual pause, seconds."""
    steady_s: Seconds = 10.0
    """After so long live the pauses begin anew, seconds."""
    lease_s: Annotated[float, Field(ge=2)] = 8.0
    """After so long without a sign of life of its worker a stream is taken over, seconds."""
    frame_timeout_s: Annotated[float, Field(ge=0.1)] = 1.5
    """How long the broker may take for a frame before it is dropped, seconds; a quarter of `lease_s` at most."""

    @model_validator(mode="after")
    def _frames_end_before_leases(self) -> Self:
        if 4 * self.frame_timeout_s > self.lease_s:
            raise ValueError(
                "frame_timeout_s must be a quarter of lease_s at most, or two workers could publish at once"
            )
        return self


class PoliciesSettings(Section):
    """Which policy decides whose uploads; see docs/decisions.md."""

    file: Path | None = None
    """Policies (YAML) beside the fleet's own, of other names or higher versions."""
    default: PolicyName = "default"
    """Of tenants that have none of their own. Of a name the newest version is used."""
    tenants: dict[str, PolicyName | dict[ContentType, PolicyName]] = {}
    """By tenant: a policy's name, or names by kind of content; kinds left out have the default."""


class SinkSettings(Section):
    """Writing to Postgres."""

    batch_messages: Positive = 500
    """Messages in a transaction, at most."""
    batch_delay_ms: Annotated[float, Field(ge=0)] = 200.0
    """How long a transaction waits for more, milliseconds."""


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    postgres: PostgresSettings = PostgresSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    models: ModelSettings = Field(default_factory=ModelSettings)
    media: MediaSettings = MediaSettings()
    uploads: UploadsSettings = UploadsSettings()
    segments: SegmentsSettings = SegmentsSettings()
    frames: FramesSettings = FramesSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    blocking: BlockingSettings = BlockingSettings()
    door: DoorSettings = DoorSettings()
    hooks: HooksSettings = HooksSettings()
    streams: StreamsSettings = StreamsSettings()
    policies: PoliciesSettings = PoliciesSettings()
    sink: SinkSettings = SinkSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (the signature is pydantic's)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments before the environment, the environment before the file."""
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls, _file())


def load_settings(**overrides: object) -> Settings:
    """Return the settings of this process; `overrides` are sections that go before the environment.

    Raises:
        SettingsInvalid: a key does not exist or a value cannot be; every one is named.
    """
    file = _file()
    if "FLEET_CONFIG" in os.environ and not file.is_file():
        raise SettingsInvalid(f"FLEET_CONFIG names {file}, which is not a file")
    _refuse_unusable_file(file)
    _refuse_unknown_variables(os.environ)
    _refuse_unreadable_variables(os.environ)
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # sections are validated
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise SettingsInvalid(
            "\n".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
        ) from error


def _file() -> Path:
    return Path(os.environ.get("FLEET_CONFIG", _DEFAULT_FILE))


def _refuse_unusable_file(file: Path) -> None:
    if not file.is_file():
        return
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except yaml.MarkedYAMLError as error:
        # Without the error's own text, which cites the line: it may hold a password.
        line = 0 if error.problem_mark is None else error.problem_mark.line + 1
        raise SettingsInvalid(f"{file} is not YAML: line {line}: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{file} is not YAML in UTF-8: {error}") from error
    except OSError as error:
        raise SettingsInvalid(f"{file} cannot be read: {error}") from error
    if content is not None and not isinstance(content, dict):
        raise SettingsInvalid(f"{file} holds a {type(content).__name__}, not sections with keys")


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    sections = set(Settings.model_fields)
    unknown = [
        name
        for name in sorted(environment)
        if name.startswith(ENVIRONMENT_PREFIX)
        and name not in _OWN_VARIABLES
        and name.removeprefix(ENVIRONMENT_PREFIX).split("__")[0].lower() not in sections
    ]
    if unknown:
        raise SettingsInvalid(
            "\n".join(f"{name}: no such setting; sections are {', '.join(sorted(sections))}" for name in unknown)
        )


def _refuse_unreadable_variables(environment: Mapping[str, str]) -> None:
    """Name the variables of sections, lists and maps that are not JSON: pydantic names only their section."""
    structured = {ENVIRONMENT_PREFIX + name.upper() for name in Settings.model_fields} | {
        f"{ENVIRONMENT_PREFIX}{name}__{key}".upper()
        for name, section in Settings.model_fields.items()
        if isinstance(section.annotation, type) and issubclass(section.annotation, Section)
        for key, field in section.annotation.model_fields.items()
        if get_origin(field.annotation) in {tuple, dict}
    }
    unreadable = [name for name in sorted(environment) if name.upper() in structured and not _json(environment[name])]
    if unreadable:
        raise SettingsInvalid(
            "\n".join(
                f'{name}: not JSON; a list is written as ["a", "b"], a map as {{"a": "b"}}' for name in unreadable
            )
        )


def _json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
