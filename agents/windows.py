"""What Redis remembers between workers: the segments of an upload, and earlier verdicts.

All keys of one upload share a hash tag, so that a script may touch them together on Redis Cluster.
"""

from dataclasses import dataclass

import redis
from redis.commands.core import Script

from agents.keyvalue import typed_errors
from agents.settings import RedisSettings
from schemas.media import Segment

_BEGIN = """
-- KEYS: segments, attempts. ARGV: index, ttl_ms.
-- Returns: attempts of this segment, 1 if it is recorded already.
local attempts = redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return {attempts, redis.call('HEXISTS', KEYS[1], ARGV[1])}
"""

_RECORD = """
-- KEYS: segments, attempts, state. ARGV: index, of, result, ttl_ms.
-- The first result of a segment stays. The segment that completes the set closes it: its message, and only
-- its message, brings the verdict about, also when it is read again.
-- Returns: how many segments are recorded, 1 if this one closes the set, 1 if the verdict is published.
if ARGV[3] ~= '' then redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[3]) end
local recorded = redis.call('HLEN', KEYS[1])
if recorded >= tonumber(ARGV[2]) then redis.call('HSETNX', KEYS[3], 'closer', ARGV[1]) end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[4]) end
local closes = redis.call('HGET', KEYS[3], 'closer') == ARGV[1]
return {recorded, closes and 1 or 0, redis.call('HEXISTS', KEYS[3], 'published')}
"""


@dataclass(frozen=True, slots=True)
class Begun:
    """What was known of a segment when a worker took it."""

    attempts: int
    """How often it was taken, this time included."""
    recorded: bool
    """Whether its result is there already: it need not be scored again."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What recording a segment's result led to."""

    done: int
    """Segments of the plan that are recorded."""
    closes: bool
    """Whether this segment's message has to bring about the verdict."""
    published: bool
    """Whether the verdict is out already."""


class UploadWindow:
    """The results of an upload's segments, joined whatever their order and whoever scored them."""

    def __init__(self, client: "redis.Redis", settings: RedisSettings) -> None:
        self._client = client
        self._prefix = settings.key_prefix
        self._ttl_ms = int(settings.window_ttl_s * 1000)
        self._begin: Script = client.register_script(_BEGIN)
        self._record: Script = client.register_script(_RECORD)

    def _keys(self, segment: Segment) -> list[str]:
        tag = f"{self._prefix}{{{segment.media_id}:{segment.plan_fingerprint}}}"
        return [f"{tag}:segments", f"{tag}:attempts", f"{tag}:state"]

    def begin(self, segment: Segment) -> Begun:
        """Note that a worker takes `segment`.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors():
            attempts, recorded = self._begin(self._keys(segment)[:2], [segment.index, self._ttl_ms])
        return Begun(int(attempts), bool(recorded))

    def record(self, segment: Segment, result: bytes | None) -> Recorded:
        """Keep the result of `segment`; none asks only how the set stands.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors():
            done, closes, published = self._record(
                self._keys(segment), [segment.index, segment.of, result or b"", self._ttl_ms]
            )
        return Recorded(int(done), bool(closes), bool(published))

    def results(self, segment: Segment) -> list[bytes]:
        """Return the recorded results of the upload that `segment` belongs to, by index.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors():
            found = self._client.hgetall(self._keys(segment)[0])
        return [_bytes(found[index]) for index in sorted(found, key=int)]

    def published(self, segment: Segment) -> None:
        """Note that the verdict is out.

        Raises:
            Unavailable: Redis is away.
        """
        segments, _, state = self._keys(segment)
        with typed_errors(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(state, "published", 1)
            pipeline.pexpire(state, self._ttl_ms)
            pipeline.pexpire(segments, self._ttl_ms)
            pipeline.execute()


class EarlierVerdicts:
    """Verdicts by the bytes that they speak of, so that a re-upload is answered without scoring."""

    def __init__(self, client: "redis.Redis", settings: RedisSettings) -> None:
        self._client = client
        self._prefix = settings.key_prefix
        self._ttl_ms = int(settings.verdict_ttl_s * 1000)

    def _key(self, sha256: str, asked: str) -> str:
        return f"{self._prefix}verdict:{sha256}:{asked}"

    def find(self, sha256: str, asked: str) -> bytes | None:
        """Return the verdict on bytes of that checksum; `asked` is the plan's and model set's fingerprint.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors():
            found = self._client.get(self._key(sha256, asked))
        return None if found is None else _bytes(found)

    def keep(self, sha256: str, asked: str, verdict: bytes) -> None:
        """Remember a verdict; the first one stays.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors():
            self._client.set(self._key(sha256, asked), verdict, px=self._ttl_ms, nx=True)


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value
