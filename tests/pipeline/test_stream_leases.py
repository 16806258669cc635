"""Who pulls a stream: one at a time, by numbers that only rise, whatever Redis forgets."""

import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
import redis

from agents.keyvalue import connect
from agents.pulling.leases import AHEAD, Lease, Leases, LeaseTimes
from agents.settings import RedisSettings

LONG = LeaseTimes(ttl_s=30, margin_s=2, kept_s=60)
SHORT = LeaseTimes(ttl_s=0.05, margin_s=0.01, kept_s=60)

New = Callable[..., Leases]


@pytest.fixture
def client(server_environment: dict[str, str]) -> Iterator["redis.Redis"]:
    connected = connect(RedisSettings.model_validate({"url": server_environment["FLEET_REDIS__URL"]}))
    yield connected
    connected.close()


@pytest.fixture
def new(client: "redis.Redis") -> New:
    settings = RedisSettings(key_prefix=f"l{uuid4().hex[:8]}:")

    def make(owner: str, times: LeaseTimes = LONG, clock: Callable[[], float] = time.monotonic) -> Leases:
        return Leases(client, settings, owner, times, clock)

    return make


def acquired(leases: Leases, stream_id: str = "a") -> Lease | None:
    found = leases.acquire([stream_id])
    return found[0] if found else None


def await_acquired(leases: Leases) -> Lease:
    deadline = time.monotonic() + 5
    while (lease := acquired(leases)) is None:
        assert time.monotonic() < deadline
    return lease


def await_passed(client: "redis.Redis", seconds: float) -> None:
    """Wait until Redis' own clock has gone on, by which leases run out."""
    until_s = redis_time(client) + seconds
    while redis_time(client) < until_s:
        pass


def redis_time(client: "redis.Redis") -> float:
    seconds, micros = client.time()
    return seconds + micros / 1e6


def test_a_stream_is_one_workers_until_it_gives_it_back(new: New) -> None:
    one, two = new("one"), new("two")
    lease = acquired(one)
    assert lease is not None
    assert acquired(two) is None
    assert acquired(two, "b") is not None
    one.release([lease])
    assert acquired(two) is not None


def test_a_lease_that_ran_out_is_anothers_and_its_old_owner_learns_it(new: New) -> None:
    one, two = new("one", SHORT), new("two")
    old = acquired(one)
    assert old is not None
    lease = await_acquired(two)
    assert lease.number > old.number
    assert one.renew([old]) == [old]
    assert old.seq(time.monotonic()) is None
    one.release([old])
    assert two.renew([lease]) == []
    assert acquired(new("three")) is None, "the old owner gave away what was not its own"


def test_one_that_ran_out_and_nobody_took_goes_on(new: New, client: "redis.Redis") -> None:
    one = new("one", SHORT)
    lease = acquired(one)
    assert lease is not None
    await_passed(client, 0.1)
    assert one.renew([lease]) == []
    assert lease.seq(time.monotonic()) is not None


def test_frames_end_before_another_can_have_the_stream(new: New) -> None:
    now_s = [100.0]
    one = new("one", LONG, lambda: now_s[0])
    lease = acquired(one)
    assert lease is not None
    assert lease.seq(127.9) is not None
    assert lease.seq(128.0) is None
    now_s[0] = 110.0
    one.renew([lease])
    assert lease.seq(137.9) is not None


def test_numbers_of_frames_rise_over_every_change_of_hands(new: New) -> None:
    seen: list[int] = []
    owners = [new(f"worker-{number}", SHORT) for number in range(4)]
    for number, owner in enumerate(owners):
        lease = await_acquired(owner)
        for _ in range(AHEAD if number == 1 else 5):
            seq = lease.seq(lease.good_until_s - 1e-6)
            assert seq is not None
            seen.append(seq)
        if number == 2:
            owner.release([lease])
    assert seen == sorted(set(seen))


def test_a_lease_without_numbers_in_hand_gives_none_until_it_is_renewed(new: New) -> None:
    one = new("one")
    lease = acquired(one)
    assert lease is not None
    for _ in range(AHEAD):
        assert lease.seq(0) is not None
    assert lease.seq(0) is None
    one.renew([lease])
    assert lease.seq(0) is not None


def test_where_redis_comes_back_empty_the_owner_keeps_its_stream(new: New, client: "redis.Redis") -> None:
    one, two = new("one"), new("two")
    lease = acquired(one)
    assert lease is not None
    forget(client, one)
    assert one.renew([lease]) == []
    assert acquired(two) is None


def test_where_another_was_quicker_then_its_numbers_are_higher_all_the_same(new: New, client: "redis.Redis") -> None:
    one, two = new("one"), new("two")
    lease = acquired(one)
    assert lease is not None
    last = [lease.seq(0) for _ in range(3)][-1]
    assert last is not None
    # The clock that numbers are kept above goes by seconds.
    await_passed(client, 1.1)
    forget(client, one)
    other = acquired(two)
    assert other is not None
    assert other.number > lease.number
    assert other.next_seq > last
    assert one.renew([lease]) == [lease]


def forget(client: "redis.Redis", leases: Leases) -> None:
    assert client.delete(leases._key("a")) == 1


def test_of_many_streams_those_that_nobody_holds_are_seen(new: New) -> None:
    one, two = new("one"), new("two")
    held = one.acquire(["a", "c"])
    assert two.free(["a", "b", "c", "d"]) == ["b", "d"]
    one.release(held)
    assert two.free(["a", "b", "c", "d"]) == ["a", "b", "c", "d"]
