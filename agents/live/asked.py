"""What was asked of each live stream, as Redis knows it: whoever handles a stream finds it there.

The agent that reads `media.streams` notes it; those that pull, score and block read it.
"""

import logging
from collections.abc import Mapping

import orjson
import redis
from pydantic import ValidationError

from agents.keyvalue import typed_errors
from agents.settings import RedisSettings
from schemas.stream import StreamControl
from topics.serialisation import explain

_log = logging.getLogger(__name__)

_NOTE = """
-- KEYS: what was asked of the stream. ARGV: a command with its fields (JSON), its time, ttl of a stopped one (ms).
-- The fields of an update are joined to those known; a start begins anew. What is older than what is known, or as old
-- and the same, changes nothing: a replay is told what is known.
-- Returns: what is known now (JSON).
local known = redis.call('HMGET', KEYS[1], 'at', 'asked')
if known[1] and tonumber(known[1]) > tonumber(ARGV[2]) then return known[2] end
local fields = cjson.decode(ARGV[1])
if fields.command ~= 'start' and known[2] then
  local joined = cjson.decode(known[2])
  local running = joined.command
  for name, value in pairs(fields) do
    if name ~= 'url' or value ~= cjson.null then joined[name] = value end
  end
  if fields.command == 'update' then joined.command = running end
  fields = joined
end
local asked = cjson.encode(fields)
redis.call('HSET', KEYS[1], 'at', ARGV[2], 'asked', asked)
if fields.command == 'stop' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) else redis.call('PERSIST', KEYS[1]) end
return asked
"""


class AskedUnreadable(Exception):
    """What Redis holds of a stream is no command that this worker knows."""


class StreamsAsked:
    """What was asked of streams: `start`, `stop`, or `update` alone where somebody else publishes their frames."""

    def __init__(self, client: "redis.Redis", settings: RedisSettings) -> None:
        self._client = client
        self._prefix = settings.key_prefix
        self._stopped_ttl_ms = int(settings.window_ttl_s * 1000)
        self._note = client.register_script(_NOTE)

    def _key(self, stream_id: str) -> str:
        return f"{self._prefix}{{{stream_id}}}:asked"

    def note(self, control: StreamControl) -> StreamControl:
        """Note a command, and return what is asked of its stream now. Noted again, it changes nothing.

        Raises:
            AskedUnreadable: what was asked before is newer than this worker.
            Unavailable: Redis is away.
        """
        given = control.model_dump(mode="json", exclude_unset=control.command != "start")
        asked = {**given, "command": control.command, "at": control.at.isoformat()}
        moment = int(control.at.timestamp() * 1000)
        with typed_errors():
            known = self._note([self._key(control.stream_id)], [orjson.dumps(asked), moment, self._stopped_ttl_ms])
        noted = _read(control.stream_id, known)
        if noted is None:
            raise AskedUnreadable(f"what was asked of {control.stream_id} cannot be read by this worker")
        return noted

    def find(self, stream_id: str) -> StreamControl | None:
        """Return what is asked of a stream; none where nothing was, or nothing that this worker can read.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors():
            found = self._client.hget(self._key(stream_id), "asked")
        return None if found is None else _read(stream_id, found)

    def find_all(self, stream_ids: "list[str]") -> Mapping[str, StreamControl]:
        """Return what is asked of those streams of which anything is that can be read, in one round trip.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors(), self._client.pipeline(transaction=False) as pipeline:
            for stream_id in stream_ids:
                pipeline.hget(self._key(stream_id), "asked")
            answers = pipeline.execute()
        found = {
            stream_id: _read(stream_id, answer)
            for stream_id, answer in zip(stream_ids, answers, strict=True)
            if answer is not None
        }
        return {stream_id: control for stream_id, control in found.items() if control is not None}


def _read(stream_id: str, asked: bytes | str) -> StreamControl | None:
    """Return a command; none where a newer fleet, or somebody else, wrote it: one stream must not stop the others."""
    try:
        return StreamControl.model_validate_json(asked)
    except ValidationError as error:
        _log.error("stream %s: what was asked cannot be read: %s", stream_id, explain(error))
        return None
