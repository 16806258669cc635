"""Who pulls a stream: a lease in Redis, fenced by a number that rises with each acquisition.

The lease also gives out the numbers of frames, so that `seq` rises over reconnects, takeovers and kills. Both numbers
are kept above what the clock of Redis says, so that they go on rising where Redis came back empty: the lease's above
the seconds since 1970, and `seq` above a hundred for each second since 2026, which no stream's frames can outrun.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

import redis

from agents.keyvalue import Call, Script
from agents.settings import RedisSettings

AHEAD = 1_024
"""Numbers of frames that a lease has in hand beyond those used: seventeen seconds of the fastest sampling."""

_FLOORS = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seq_floor = math.floor((now - 1767225600000) / 10)
"""
_ACQUIRE = (
    _FLOORS
    + """
-- KEYS: the lease. ARGV: who asks, its ttl (ms), how long it is remembered (ms), numbers in hand.
-- Returns: the lease's number and the next seq, or nothing where another has it.
local held = redis.call('HMGET', KEYS[1], 'owner', 'number', 'until', 'seq')
if held[3] and tonumber(held[3]) > now and held[1] ~= ARGV[1] then return false end
local number = math.max(tonumber(held[2] or 0) + 1, time[1] * 1)
local seq = math.max(tonumber(held[4] or 0), seq_floor)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'number', string.format('%d', number),
  'until', string.format('%d', now + ARGV[2]), 'seq', string.format('%d', seq + ARGV[4]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {number, seq}
"""
)
_RENEW = (
    _FLOORS
    + """
-- KEYS: the lease. ARGV: whose, its ttl (ms), how long it is remembered (ms), its number, end of the numbers in hand.
-- Returns: 1, or 0 where it is another's now. A lease that Redis has forgotten is written again.
local held = redis.call('HMGET', KEYS[1], 'owner', 'number', 'seq')
if held[2] and (held[1] ~= ARGV[1] or held[2] ~= ARGV[4]) then return 0 end
local seq = math.max(tonumber(held[3] or 0), tonumber(ARGV[5]))
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'number', ARGV[4],
  'until', string.format('%d', now + ARGV[2]), 'seq', string.format('%d', seq))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
)
_FREE = """
-- KEYS: the lease. Returns: 1 where nobody holds it.
local until_ms = redis.call('HGET', KEYS[1], 'until')
if not until_ms then return 1 end
local time = redis.call('TIME')
return (time[1] * 1000 + math.floor(time[2] / 1000)) >= tonumber(until_ms) and 1 or 0
"""
_RELEASE = """
-- KEYS: the lease. ARGV: its number, the next seq. The lease is free, and its numbers are remembered.
if redis.call('HGET', KEYS[1], 'number') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'until', '0', 'seq', ARGV[2])
return 1
"""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """How long leases last, seconds.

    Attributes:
        ttl_s: after so long without a renewal another worker may take the stream.
        margin_s: so long before that its owner has published its last frame.
        kept_s: how long the numbers of a stream that nobody pulls are remembered.
    """

    ttl_s: float
    margin_s: float
    kept_s: float


@dataclass(slots=True)
class Lease:
    """A stream's lease in the hands of its owner.

    Attributes:
        stream_id: whose.
        number: it fences: a higher one is the newer.
        next_seq: number of the frame that comes next.
        end_seq: numbers below it are in hand.
        good_until_s: until when frames may be published by it, on the owner's monotonic clock.
    """

    stream_id: str
    number: int
    next_seq: int
    end_seq: int
    good_until_s: float

    def seq(self, now_s: float) -> int | None:
        """Take the number of a frame; none where the lease is not surely ours at this moment."""
        if now_s >= self.good_until_s or self.next_seq >= self.end_seq:
            return None
        seq = self.next_seq
        self.next_seq += 1
        return seq


class Leases:
    """The leases of a worker. Not for several threads."""

    def __init__(
        self,
        client: "redis.Redis",
        settings: RedisSettings,
        owner: str,
        times: LeaseTimes,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._prefix = settings.key_prefix
        self._owner = owner
        self._times = times
        self._clock = clock
        self._acquire = Script(client, _ACQUIRE)
        self._renew = Script(client, _RENEW)
        self._release = Script(client, _RELEASE)
        self._free = Script(client, _FREE)

    def _key(self, stream_id: str) -> str:
        return f"{self._prefix}{{{stream_id}}}:lease"

    @property
    def _lasting(self) -> tuple[int, int]:
        return int(self._times.ttl_s * 1000), int(self._times.kept_s * 1000)

    def free(self, stream_ids: Sequence[str]) -> Sequence[str]:
        """Return those streams that nobody holds at this moment, in their order.

        Raises:
            Unavailable: Redis is away.
        """
        answers = self._free.run_all([Call((self._key(name),), ()) for name in stream_ids])
        return [name for name, answer in zip(stream_ids, answers, strict=True) if answer]

    def acquire(self, stream_ids: Sequence[str]) -> Sequence[Lease]:
        """Return leases of those streams that nobody else holds.

        Raises:
            Unavailable: Redis is away.
        """
        good_until_s = self._good_until()
        calls = [Call((self._key(name),), (self._owner, *self._lasting, AHEAD)) for name in stream_ids]
        answers = self._acquire.run_all(calls)
        return [
            Lease(name, int(answer[0]), int(answer[1]), int(answer[1]) + AHEAD, good_until_s)
            for name, answer in zip(stream_ids, answers, strict=True)
            if answer is not None
        ]

    def renew(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        """Renew leases, and return those that are another's by now.

        Raises:
            Unavailable: Redis is away. Some may be renewed.
        """
        good_until_s = self._good_until()
        ends = [lease.next_seq + AHEAD for lease in leases]
        answers = self._renew.run_all(
            [
                Call((self._key(lease.stream_id),), (self._owner, *self._lasting, lease.number, end))
                for lease, end in zip(leases, ends, strict=True)
            ]
        )
        lost = []
        for lease, end, answer in zip(leases, ends, answers, strict=True):
            if answer:
                lease.end_seq, lease.good_until_s = end, good_until_s
            else:
                lease.good_until_s = float("-inf")
                lost.append(lease)
        return lost

    def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back, whose frames are all published.

        Raises:
            Unavailable: Redis is away.
        """
        self._release.run_all([Call((self._key(lease.stream_id),), (lease.number, lease.next_seq)) for lease in leases])

    def _good_until(self) -> float:
        # From before Redis is asked: its time to live begins later than that.
        return self._clock() + self._times.ttl_s - self._times.margin_s
