import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from agents.settings import KafkaSettings, Settings, SettingsInvalid, load_settings
from tools.configuration_page import page, variable

YAML_BLOCKS = [block.partition("```")[0] for block in page().split("```yaml\n")[1:]]
SECRETS = {
    "FLEET_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
    "FLEET_KAFKA__SASL_MECHANISM": "PLAIN",
    "FLEET_KAFKA__SASL_USERNAME": "fleet",
    "FLEET_KAFKA__SASL_PASSWORD": "hunter2",
    "FLEET_REDIS__URL": "redis://:hunter2@redis:6379/0",
    "FLEET_POSTGRES__URL": "postgresql://fleet:hunter2@postgres/db",
}


@pytest.fixture(autouse=True)
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file and no variable of the machine that the tests run on."""
    for name in [name for name in os.environ if name.upper().startswith("FLEET_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    def set_all(variables: Mapping[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


def write(text: str, name: str = "fleet.yaml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def refused() -> SettingsInvalid:
    with pytest.raises(SettingsInvalid) as refusal:
        load_settings()
    return refusal.value


def test_without_a_file_and_variables_everything_has_a_default() -> None:
    settings = load_settings()
    assert settings.kafka.bootstrap_servers == "localhost:9092"
    assert settings.media.allowed_roots == ()
    assert settings.segments.bulk_share == 0.2


def test_the_file_goes_before_the_defaults_and_the_environment_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write("kafka: {topic_prefix: file., bootstrap_servers: 'file:9092'}\nruntime: {in_flight_mib: 7}\n")
    monkeypatch.setenv("FLEET_KAFKA__TOPIC_PREFIX", "environment.")
    settings = load_settings()
    assert settings.kafka.topic_prefix == "environment."
    assert settings.kafka.bootstrap_servers == "file:9092"
    assert settings.runtime.in_flight_mib == 7
    assert settings.runtime.max_attempts == 3


def test_what_a_command_overrides_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_KAFKA__TOPIC_PREFIX", "environment.")
    monkeypatch.setenv("FLEET_KAFKA__REPLICATION_FACTOR", "3")
    settings = load_settings(kafka={"topic_prefix": "argument."})
    assert settings.kafka.topic_prefix == "argument."
    assert settings.kafka.replication_factor == 3


def test_the_file_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("kafka: {topic_prefix: here.}")
    other = write("kafka: {topic_prefix: elsewhere.}", "other.yaml")
    monkeypatch.setenv("FLEET_CONFIG", str(tmp_path / other))
    assert load_settings().kafka.topic_prefix == "elsewhere."


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"])
def test_an_empty_file_says_nothing(text: str) -> None:
    write(text)
    assert load_settings() == Settings()


def test_a_file_that_was_named_and_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_CONFIG", str(tmp_path / "missing.yaml"))
    assert "missing.yaml, which is not a file" in str(refused())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kafka: [", "is not YAML: line "),
        ("kafka:\n  topic_prefix: a: b\n", "is not YAML: line 2: mapping values are not allowed here"),
        ("- kafka\n", "holds a list, not sections with keys"),
        ("kafka\n", "holds a str, not sections with keys"),
    ],
)
def test_a_file_that_is_no_tree_of_keys_is_an_error_that_names_it(text: str, said: str) -> None:
    write(text)
    assert str(refused()).startswith("fleet.yaml ")
    assert said in str(refused())


def test_a_file_that_is_no_text_is_an_error_that_names_it() -> None:
    Path("fleet.yaml").write_bytes(b"\xff\xfe\x00")
    assert "fleet.yaml is not YAML in UTF-8" in str(refused())


def test_lists_in_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_MEDIA__ALLOWED_ROOTS", '["/srv/media", "/srv/more"]')
    assert load_settings().media.allowed_roots == (Path("/srv/media"), Path("/srv/more"))


def test_a_list_in_the_environment_replaces_that_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write("media: {allowed_roots: [/a, /b], max_redirects: 1}")
    monkeypatch.setenv("FLEET_MEDIA__ALLOWED_ROOTS", '["/c"]')
    media = load_settings().media
    assert (media.allowed_roots, media.max_redirects) == ((Path("/c"),), 1)


def test_a_map_in_the_environment_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_POLICIES__TENANTS", '{"Paper": "strict", "gallery": {"image": "lenient"}}')
    assert load_settings().policies.tenants == {"Paper": "strict", "gallery": {"image": "lenient"}}


def test_a_policy_is_chosen_by_tenant_and_kind_of_content() -> None:
    write("policies: {default: strict, tenants: {gallery: {video: lenient}, paper: seed}}")
    policies = load_settings().policies
    assert policies.default == "strict"
    assert policies.tenants == {"gallery": {"video": "lenient"}, "paper": "seed"}


@pytest.mark.parametrize(
    "name", ["FLEET_MEDIA__ALLOWED_ROOTS", "FLEET_MODELS__ROLES", "FLEET_MEDIA", "FLEET_POLICIES__TENANTS"]
)
def test_a_list_that_is_not_json_is_an_error_that_names_the_variable(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "/srv/media:/srv/more")
    assert str(refused()).startswith(f"{name}: not JSON")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("kafka: {bootstrap: x}", "kafka.bootstrap"),
        ("kaffka: {bootstrap_servers: x}", "kaffka"),
        ("kafka:\n", "kafka"),
        ("segments: {bulk_share: 1.5}", "segments.bulk_share"),
        ("segments: {concurrency: 0}", "segments.concurrency"),
        ("runtime: {drain_timeout_s: -1}", "runtime.drain_timeout_s"),
        ("runtime: {drain_timeout_s: .inf}", "runtime.drain_timeout_s"),
        ("runtime: {health_port: 70000}", "runtime.health_port"),
        ("runtime: {log_level: LOUD}", "runtime.log_level"),
        ("kafka: {topic_prefix: 'no spaces'}", "kafka.topic_prefix"),
        ("models: {roles: [oracle]}", "models.roles.0"),
        ("media: {allowed_roots: /srv}", "media.allowed_roots"),
        ("policies: {default: No Spaces}", "policies.default"),
    ],
)
def test_a_key_that_does_not_exist_or_a_value_that_cannot_be_is_named(text: str, named: str) -> None:
    write(text)
    assert str(refused()).startswith(f"{named}: ")


@pytest.mark.parametrize("chosen", ["7", "No Spaces", "[strict]", "{painting: strict}", "{image: 7}"])
def test_a_tenant_s_policy_that_cannot_be_is_named_with_the_tenant(chosen: str) -> None:
    write(f"policies: {{tenants: {{paper: {chosen}}}}}")
    assert str(refused()).startswith("policies.tenants.paper.")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("FLEET_KAFKA__BOOTSTRAP", "kafka.bootstrap: "),
        ("FLEET_KAFFKA__TOPIC_PREFIX", "FLEET_KAFFKA__TOPIC_PREFIX: no such setting; sections are blocking, "),
        ("FLEET_KAFKA_TOPIC_PREFIX", "FLEET_KAFKA_TOPIC_PREFIX: no such setting"),
        ("FLEET_TOPIC_PREFIX", "FLEET_TOPIC_PREFIX: no such setting"),
    ],
)
def test_a_misspelt_variable_is_an_error_that_names_it(name: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    assert str(refused()).startswith(said)


def test_every_mistake_is_named_at_once(environment: Callable[[Mapping[str, str]], None]) -> None:
    environment({"FLEET_RUNTIME__HEALTH_PORT": "http", "FLEET_RUNTIME__IN_FLIGHT_MIB": "0", "FLEET_SINK__BATCH": "1"})
    lines = str(refused()).splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == [
        "runtime.health_port",
        "runtime.in_flight_mib",
        "sink.batch",
    ]


def test_variables_that_are_no_settings_are_let_be(environment: Callable[[Mapping[str, str]], None]) -> None:
    write("", "own.yaml")
    environment({"FLEET_DATA": "/srv/data", "FLEET_CONFIG": "own.yaml", "FLEETING": "1"})
    assert load_settings() == Settings()


def test_secrets_show_nowhere(environment: Callable[[Mapping[str, str]], None]) -> None:
    environment(SECRETS)
    settings = load_settings()
    for shown in (repr(settings), str(settings), repr(settings.kafka), f"{settings.redis}", settings.model_dump_json()):
        assert "hunter2" not in shown
    assert settings.kafka.sasl_password is not None
    assert settings.kafka.sasl_password.get_secret_value() == "hunter2"


def test_a_secret_in_settings_that_are_refused_shows_in_no_traceback(
    environment: Callable[[Mapping[str, str]], None],
) -> None:
    environment(SECRETS | {"FLEET_KAFKA__SECURITY_PROTOCOL": "PLAINTEXT", "FLEET_KAFKA__REPLICATION_FACTOR": "0"})
    assert "hunter2" not in "".join(traceback.format_exception(refused()))


@pytest.mark.parametrize(
    "text", ["kafka: {sasl_password: [hunter2]}", "kafka:\n  sasl_password: hunter2: 3\n", "kafka: {hunter2"]
)
def test_a_secret_in_a_broken_file_shows_in_no_traceback(text: str) -> None:
    write(text)
    assert "hunter2" not in "".join(traceback.format_exception(refused()))


LOGIN = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "fleet", "sasl_password": "x"}


@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
@pytest.mark.parametrize("missing", LOGIN)
def test_a_login_is_whole_or_refused(protocol: str, missing: str) -> None:
    login = {name: value for name, value in LOGIN.items() if name != missing}
    with pytest.raises(ValueError, match=f"{protocol} needs mechanism, username and password"):
        KafkaSettings.model_validate({"security_protocol": protocol, **login})
    assert KafkaSettings.model_validate({"security_protocol": protocol, **LOGIN}).sasl_username == "fleet"


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
@pytest.mark.parametrize("given", LOGIN)
def test_a_login_that_would_not_be_used_is_refused(protocol: str, given: str) -> None:
    with pytest.raises(ValueError, match=rf"{protocol} takes no sasl_\* settings"):
        KafkaSettings.model_validate({"security_protocol": protocol, given: LOGIN[given]})


def test_a_login_by_a_mechanism_that_not_both_clients_have_is_refused() -> None:
    with pytest.raises(ValueError, match="sasl_mechanism"):
        KafkaSettings.model_validate({"security_protocol": "SASL_SSL", **LOGIN, "sasl_mechanism": "OAUTHBEARER"})


@pytest.mark.parametrize("given", ["ssl_certificate_location", "ssl_key_location"])
def test_a_client_certificate_and_its_key_go_together(given: str) -> None:
    with pytest.raises(ValueError, match="go together"):
        KafkaSettings.model_validate({"security_protocol": "SSL", given: "/etc/fleet/one.pem"})


def test_settings_do_not_change_once_they_are_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().kafka.topic_prefix = "late."  # type: ignore[misc]


def test_every_documented_variable_sets_the_key_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    documented = page()
    for section, field in Settings.model_fields.items():
        assert field.annotation is not None
        for key in field.annotation.model_fields:
            name = variable(section, key)
            assert f"| `{section}.{key}`<br>`{name}` |" in documented
            with monkeypatch.context() as patched:
                # Whatever is refused is the key that the variable leads to: no policy is called 1.
                patched.setenv(f"{name}__X", "1")
                assert str(refused()).startswith(f"{section}.{key}"), name


def test_the_documented_examples_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, secured = YAML_BLOCKS
    write(plain)
    assert load_settings().segments.bulk_share == 0.1
    write(secured)
    monkeypatch.setenv("FLEET_KAFKA__SASL_PASSWORD", "hunter2")
    assert load_settings().kafka.sasl_mechanism == "SCRAM-SHA-512"
    assert yaml.safe_load(plain).keys() <= Settings.model_fields.keys()
