import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from time import monotonic

import pytest

from agents.runtime.agent import ONE_BY_ONE, BatchPolicy, Lane, Shedding
from agents.runtime.deadline import Deadline
from agents.runtime.in_flight import InFlight
from agents.runtime.messages import Incoming, Partition
from tests.unit.runtime.messages import incoming
from topics.catalogue import SEGMENTS, SEGMENTS_BULK, UPLOADS

FIRST = Partition(UPLOADS.name, 0)
SECOND = Partition(UPLOADS.name, 1)
INTERACTIVE = Partition(SEGMENTS.name, 0)
BULK = Partition(SEGMENTS_BULK.name, 0)
PLENTY = 1 << 30
AT_ONCE = BatchPolicy(max_messages=100, max_delay_s=0.0)


def one_lane(max_messages: int = 1000, max_bytes: int = PLENTY) -> InFlight:
    in_flight = InFlight([Lane((UPLOADS,), max_messages)], max_bytes)
    in_flight.assign([FIRST, SECOND])
    return in_flight


def two_lanes(share: float) -> InFlight:
    in_flight = InFlight([Lane((SEGMENTS,), 1000), Lane((SEGMENTS_BULK,), 1000, share=share)], PLENTY)
    in_flight.assign([INTERACTIVE, BULK])
    return in_flight


def turns(in_flight: InFlight, count: int, first_offset: int = 0) -> str:
    """Take so many times with both lanes always full: `i` is an interactive turn, `b` a bulk one."""
    taken = ""
    for number in range(first_offset, first_offset + count):
        in_flight.accept(incoming(number, SEGMENTS))
        in_flight.accept(incoming(number, SEGMENTS_BULK))
        (message,) = in_flight.take(ONE_BY_ONE)
        in_flight.complete(message)
        taken += "b" if message.topic is SEGMENTS_BULK else "i"
    return taken


@contextmanager
def taking(in_flight: InFlight) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        try:
            yield pool
        finally:
            in_flight.close()


def test_messages_are_taken_in_the_order_that_they_were_read() -> None:
    in_flight = one_lane()
    for offset in range(5):
        assert in_flight.accept(incoming(offset))
    assert [message.offset for message in in_flight.take(AT_ONCE)] == [0, 1, 2, 3, 4]


def test_a_message_of_a_partition_that_is_not_assigned_is_not_accepted() -> None:
    in_flight = one_lane()
    assert not in_flight.accept(incoming(partition=7))
    assert in_flight.totals() == (0, 0)


def test_what_is_in_flight_is_counted_in_messages_and_bytes_until_it_is_done() -> None:
    in_flight = one_lane()
    message = incoming(key=b"abc", value=b"12345", headers={"id": b"7"})
    in_flight.accept(message)
    assert in_flight.totals() == (1, 11)
    in_flight.take(ONE_BY_ONE)
    assert in_flight.totals() == (1, 11)
    in_flight.complete(message)
    assert in_flight.totals() == (0, 0)


def test_each_partition_has_its_own_watermark() -> None:
    in_flight = one_lane()
    for partition, offset in ((0, 5), (0, 6), (1, 90)):
        in_flight.accept(incoming(offset, partition=partition))
    early, late, other = in_flight.take(AT_ONCE)
    in_flight.complete(late)
    in_flight.complete(other)
    assert in_flight.watermarks() == {SECOND: 91}
    in_flight.complete(early)
    assert in_flight.watermarks() == {FIRST: 7, SECOND: 91}


def test_an_abandoned_message_holds_the_watermark_and_frees_its_room() -> None:
    in_flight = one_lane()
    for offset in range(3):
        in_flight.accept(incoming(offset))
    messages = in_flight.take(AT_ONCE)
    in_flight.complete(messages[0])
    in_flight.abandon(messages[1])
    in_flight.complete(messages[2])
    assert in_flight.watermarks() == {FIRST: 1}
    assert in_flight.totals() == (0, 0)
    assert in_flight.wait_until_idle([FIRST], Deadline.after(0))


def test_what_waits_is_discarded_and_what_is_in_hand_is_finished() -> None:
    in_flight = one_lane()
    for offset in range(4):
        in_flight.accept(incoming(offset))
        in_flight.accept(incoming(offset, partition=1))
    (in_hand,) = in_flight.take(ONE_BY_ONE)
    in_flight.discard_waiting([FIRST])
    assert in_flight.totals()[0] == 1 + 4
    in_flight.complete(in_hand)
    assert in_flight.watermarks() == {FIRST: 1}
    assert {message.partition for message in in_flight.take(AT_ONCE)} == {SECOND}


def test_what_is_finished_after_its_partition_was_lost_changes_nothing() -> None:
    in_flight = one_lane()
    in_flight.accept(incoming(5))
    (message,) = in_flight.take(ONE_BY_ONE)
    in_flight.revoke([FIRST])
    in_flight.complete(message)
    assert in_flight.watermarks() == {}
    assert in_flight.totals() == (0, 0)


def test_a_partition_that_comes_back_begins_anew_beside_what_is_still_in_hand() -> None:
    in_flight = one_lane()
    in_flight.accept(incoming(5))
    (old,) = in_flight.take(ONE_BY_ONE)
    in_flight.revoke([FIRST])
    in_flight.assign([FIRST])
    in_flight.accept(incoming(3))
    in_flight.complete(old)
    assert in_flight.watermarks() == {}
    (new,) = in_flight.take(ONE_BY_ONE)
    in_flight.complete(new)
    assert in_flight.watermarks() == {FIRST: 4}


def test_idle_is_waited_for_only_in_the_partitions_named() -> None:
    in_flight = one_lane()
    in_flight.accept(incoming(0))
    in_flight.take(ONE_BY_ONE)
    assert in_flight.wait_until_idle([SECOND], Deadline.after(0))
    assert not in_flight.wait_until_idle([FIRST], Deadline.after(0.01))


def test_idle_comes_when_the_last_message_in_hand_is_done() -> None:
    in_flight = one_lane()
    in_flight.accept(incoming(0))
    in_flight.accept(incoming(1))
    messages = in_flight.take(AT_ONCE)
    with ThreadPoolExecutor() as pool:
        idle = pool.submit(in_flight.wait_until_idle, [FIRST], Deadline.after(10))
        in_flight.complete(messages[0])
        assert not idle.done()
        in_flight.abandon(messages[1])
        assert idle.result(timeout=10)


def test_a_taker_sleeps_until_there_is_a_message() -> None:
    in_flight = one_lane()
    with taking(in_flight) as pool:
        batch = pool.submit(in_flight.take, ONE_BY_ONE)
        message = incoming()
        in_flight.accept(message)
        assert batch.result(timeout=10) == [message]


def test_a_batch_goes_as_soon_as_it_is_full() -> None:
    in_flight = one_lane()
    with taking(in_flight) as pool:
        batch = pool.submit(in_flight.take, BatchPolicy(max_messages=3, max_delay_s=60.0))
        for offset in range(4):
            in_flight.accept(incoming(offset))
        assert [message.offset for message in batch.result(timeout=10)] == [0, 1, 2]


def test_a_batch_that_does_not_fill_goes_when_its_time_is_up() -> None:
    in_flight = one_lane()
    in_flight.accept(incoming())
    assert len(in_flight.take(BatchPolicy(max_messages=3, max_delay_s=0.01))) == 1


def test_closing_wakes_every_taker_with_nothing() -> None:
    in_flight = one_lane()
    with ThreadPoolExecutor() as pool:
        batches = [pool.submit(in_flight.take, ONE_BY_ONE) for _ in range(3)]
        in_flight.close()
        assert [batch.result(timeout=10) for batch in batches] == [[], [], []]


def test_after_closing_what_waits_is_not_handed_out() -> None:
    in_flight = one_lane()
    in_flight.accept(incoming())
    in_flight.close()
    assert in_flight.take(ONE_BY_ONE) == []


def test_closing_ends_a_wait_for_a_fuller_batch_with_nothing() -> None:
    in_flight = one_lane()
    in_flight.accept(incoming())
    with ThreadPoolExecutor() as pool:
        batch = pool.submit(in_flight.take, BatchPolicy(max_messages=2, max_delay_s=60.0))
        in_flight.close()
        assert batch.result(timeout=10) == []


class CountedClock:
    """A real clock that tells how often it was asked: a taker asks twice when it begins to wait for more."""

    def __init__(self) -> None:
        self._asked = threading.Semaphore(0)

    def __call__(self) -> float:
        self._asked.release()
        return monotonic()

    def wait_for_takers(self, count: int) -> None:
        for _ in range(2 * count):
            assert self._asked.acquire(timeout=10)


def test_a_taker_whose_batch_was_discarded_while_it_filled_waits_on() -> None:
    clock = CountedClock()
    in_flight = InFlight([Lane((UPLOADS,), 1000)], PLENTY, clock)
    in_flight.assign([FIRST])
    in_flight.accept(incoming(0))
    with taking(in_flight) as pool:
        batch = pool.submit(in_flight.take, BatchPolicy(max_messages=2, max_delay_s=0.05))
        clock.wait_for_takers(1)
        in_flight.discard_waiting([FIRST])
        with pytest.raises(TimeoutError):
            batch.result(timeout=0.3)
        next_one = incoming(1)
        in_flight.accept(next_one)
        assert batch.result(timeout=10) == [next_one]


def test_a_taker_whose_batch_another_one_took_waits_on() -> None:
    clock = CountedClock()
    in_flight = InFlight([Lane((UPLOADS,), 1000)], PLENTY, clock)
    in_flight.assign([FIRST])
    in_flight.accept(incoming(0))
    with taking(in_flight) as pool:
        batches = [pool.submit(in_flight.take, BatchPolicy(max_messages=2, max_delay_s=0.05)) for _ in range(2)]
        clock.wait_for_takers(2)
        done, waiting = wait(batches, timeout=10, return_when=FIRST_COMPLETED)
        (first,), (second,) = done, waiting
        assert [message.offset for message in first.result()] == [0]
        with pytest.raises(TimeoutError):
            second.result(timeout=0.3)
        in_flight.accept(incoming(1))
        assert [message.offset for message in second.result(timeout=10)] == [1]


def test_interactive_work_goes_first_where_bulk_has_no_share() -> None:
    assert turns(two_lanes(share=0.0), 20) == "i" * 20


@pytest.mark.parametrize("share", [0.1, 0.2, 0.25, 0.5])
def test_under_full_lanes_bulk_gets_its_share_and_interactive_the_rest(share: float) -> None:
    taken = turns(two_lanes(share), 400)
    assert taken.count("b") == pytest.approx(share * 400, abs=1)
    # Spread evenly: bulk never waits for much longer than its turn, and never goes twice where it may go once.
    longest = max(map(len, taken.split("b")))
    assert longest <= round(1 / share)
    assert "bb" not in taken


def test_the_first_turn_is_interactive() -> None:
    assert turns(two_lanes(share=0.5), 1) == "i"


def test_bulk_gets_every_turn_that_nobody_else_wants_and_keeps_its_share_afterwards() -> None:
    in_flight = two_lanes(share=0.5)
    for offset in range(50):
        in_flight.accept(incoming(offset, SEGMENTS_BULK))
    assert all(in_flight.take(ONE_BY_ONE)[0].topic is SEGMENTS_BULK for _ in range(50))
    assert turns(in_flight, 4, first_offset=50) == "ibib"


def test_while_bulk_has_no_work_it_saves_up_no_turns() -> None:
    in_flight = two_lanes(share=0.2)
    for offset in range(100):
        in_flight.accept(incoming(offset, SEGMENTS))
    assert all(in_flight.take(ONE_BY_ONE)[0].topic is SEGMENTS for _ in range(100))
    assert turns(in_flight, 10, first_offset=100).count("b") <= 2


def test_a_batch_is_of_one_lane() -> None:
    in_flight = two_lanes(share=0.2)
    for offset in range(3):
        in_flight.accept(incoming(offset, SEGMENTS))
        in_flight.accept(incoming(offset, SEGMENTS_BULK))
    assert {message.topic for message in in_flight.take(AT_ONCE)} == {SEGMENTS}
    assert {message.topic for message in in_flight.take(AT_ONCE)} == {SEGMENTS_BULK}


def test_a_lane_pauses_when_it_is_full_and_resumes_at_half() -> None:
    in_flight = one_lane(max_messages=4)
    for offset in range(4):
        assert not in_flight.flow().pause
        in_flight.accept(incoming(offset))
    assert in_flight.flow().pause == {UPLOADS.name}
    assert in_flight.flow().pause == frozenset(), "it is said once"
    assert in_flight.paused_topics() == {UPLOADS.name}
    (one,) = in_flight.take(ONE_BY_ONE)
    in_flight.complete(one)
    assert not in_flight.flow().resume
    (two,) = in_flight.take(ONE_BY_ONE)
    in_flight.complete(two)
    assert in_flight.flow().resume == {UPLOADS.name}
    assert in_flight.paused_topics() == frozenset()


def test_a_lane_pauses_when_its_bytes_are_used_up() -> None:
    in_flight = one_lane(max_bytes=1000)
    in_flight.accept(incoming(0, value=b"x" * 990, key=b""))
    assert not in_flight.flow().pause
    in_flight.accept(incoming(1, value=b"x" * 10, key=b""))
    assert in_flight.flow().pause == {UPLOADS.name}
    in_flight.complete(in_flight.take(ONE_BY_ONE)[0])
    assert in_flight.flow().resume == {UPLOADS.name}


def test_a_full_bulk_lane_does_not_pause_interactive_work() -> None:
    in_flight = InFlight([Lane((SEGMENTS,), 2), Lane((SEGMENTS_BULK,), 2, share=0.2)], PLENTY)
    in_flight.assign([INTERACTIVE, BULK])
    for offset in range(3):
        in_flight.accept(incoming(offset, SEGMENTS_BULK))
    assert in_flight.flow().pause == {SEGMENTS_BULK.name}


def test_discarding_what_waits_frees_a_paused_lane() -> None:
    in_flight = one_lane(max_messages=2)
    for offset in range(2):
        in_flight.accept(incoming(offset))
    in_flight.flow()
    in_flight.discard_waiting([FIRST])
    assert in_flight.flow().resume == {UPLOADS.name}


def test_many_takers_hand_every_message_out_once_and_no_watermark_passes_one_that_was_abandoned() -> None:
    in_flight = one_lane(max_messages=100_000)
    count, holes = 600, {0: 411, 1: 97}
    handed: Counter[tuple[int, int]] = Counter()
    lock = threading.Lock()

    def work() -> None:
        while batch := in_flight.take(BatchPolicy(max_messages=7, max_delay_s=0.001)):
            for message in reversed(batch):
                place = (message.partition.number, message.offset)
                with lock:
                    handed[place] += 1
                if holes[message.partition.number] == message.offset:
                    in_flight.abandon(message)
                else:
                    in_flight.complete(message)
                if sum(handed.values()) == 2 * count:
                    in_flight.close()

    with ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(work) for _ in range(8)]
        for offset in range(count):
            for partition in (0, 1):
                assert in_flight.accept(incoming(offset, partition=partition))
        for worker in workers:
            worker.result(timeout=30)
    assert handed == Counter((partition, offset) for partition in (0, 1) for offset in range(count))
    assert in_flight.watermarks() == {FIRST: holes[0], SECOND: holes[1]}
    assert in_flight.totals() == (0, 0)


class Clock:
    """Seconds that pass when it is said."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TestShedding:
    """Ten messages a second are handled, and may wait for a second."""

    @staticmethod
    def paced() -> tuple[InFlight, Clock, list[Incoming]]:
        clock, shed = Clock(), list[Incoming]()
        lane = Lane((UPLOADS,), 1000, shedding=Shedding(max_delay_s=1.0))
        in_flight = InFlight([lane], PLENTY, clock, shed.append)
        in_flight.assign([FIRST])
        for offset in range(3):
            in_flight.accept(incoming(offset))
        for _ in range(2):
            (message,) = in_flight.take(ONE_BY_ONE)
            clock.now += 0.1
            in_flight.complete(message)
        in_flight.complete(*in_flight.take(ONE_BY_ONE))
        return in_flight, clock, shed

    def test_as_much_waits_as_can_be_handled_in_time(self) -> None:
        in_flight, _, shed = self.paced()
        for offset in range(3, 16):
            in_flight.accept(incoming(offset))
        assert [message.offset for message in shed] == [3, 4, 5]
        assert [message.offset for message in in_flight.take(AT_ONCE)] == list(range(6, 16))

    def test_a_flood_of_one_key_costs_no_other_key_a_message(self) -> None:
        in_flight, _, shed = self.paced()
        for offset in range(3, 203):
            in_flight.accept(incoming(offset, key=b"calm-%d" % offset if offset % 40 == 0 else b"flood"))
        assert {message.key for message in shed} == {b"flood"}
        assert [message.key for message in in_flight.take(AT_ONCE)].count(b"flood") == 10 - 5

    def test_keys_that_send_alike_are_handled_alike(self) -> None:
        in_flight, clock, _ = self.paced()
        handled: Counter[bytes | None] = Counter()
        offset = 3
        for _ in range(200):
            for key in range(30):  # three times what can be handled
                in_flight.accept(incoming(offset, key=b"%d" % key))
                offset += 1
            for _ in range(in_flight.totals()[0]):
                (message,) = in_flight.take(ONE_BY_ONE)
                handled[message.key] += 1
                clock.now += 0.1
                in_flight.complete(message)
        assert len(handled) >= 30
        shares = [handled[b"%d" % key] for key in range(30)]
        assert max(shares) <= 1.5 * min(shares), shares

    def test_a_flood_is_handled_as_often_as_any_other_key(self) -> None:
        in_flight, clock, _ = self.paced()
        handled: Counter[bytes | None] = Counter()
        offset, calm = 3, [b"calm-%d" % number for number in range(20)]
        for _ in range(200):
            for key in calm:  # twice what can be handled, and as much again of one key
                in_flight.accept(incoming(offset, key=key))
                in_flight.accept(incoming(offset + 1, key=b"flood"))
                offset += 2
            for _ in range(in_flight.totals()[0]):
                (message,) = in_flight.take(ONE_BY_ONE)
                handled[message.key] += 1
                clock.now += 0.1
                in_flight.complete(message)
        shares = [handled[key] for key in (*calm, b"flood")]
        assert max(shares) <= 1.5 * min(shares), shares

    def test_of_each_key_messages_come_in_their_order_and_keys_in_turn(self) -> None:
        in_flight, _, _ = self.paced()
        for offset, key in enumerate([b"a", b"a", b"a", b"b", b"c", b"b"], 3):
            in_flight.accept(incoming(offset, key=key))
        taken = in_flight.take(AT_ONCE)
        assert [(message.key, message.offset) for message in taken] == [
            (b"a", 3), (b"b", 6), (b"c", 7), (b"a", 4), (b"b", 8), (b"a", 5),
        ]  # fmt: skip

    def test_what_is_let_go_counts_as_done(self) -> None:
        in_flight, _, shed = self.paced()
        for offset in range(3, 16):
            in_flight.accept(incoming(offset))
        assert len(shed) == 3
        assert in_flight.watermarks() == {FIRST: 6}
        assert in_flight.totals()[0] == 10

    def test_nothing_is_let_go_before_the_pace_is_known(self) -> None:
        shed: list[Incoming] = []
        in_flight = InFlight([Lane((UPLOADS,), 1000, shedding=Shedding(0.001))], PLENTY, on_shed=shed.append)
        in_flight.assign([FIRST])
        for offset in range(50):
            in_flight.accept(incoming(offset))
        assert shed == []

    def test_nothing_is_let_go_while_something_is_away(self) -> None:
        in_flight, _, shed = self.paced()
        in_flight.hold()
        for offset in range(3, 23):
            in_flight.accept(incoming(offset))
        assert shed == []
        in_flight.release()
        in_flight.accept(incoming(23))
        assert len(shed) == 11, "what is stale goes when it is back"

    def test_partitions_that_leave_take_their_messages_along(self) -> None:
        in_flight, _, shed = self.paced()
        for offset in range(3, 13):
            in_flight.accept(incoming(offset))
        in_flight.discard_waiting([FIRST])
        in_flight.revoke([FIRST])
        in_flight.assign([FIRST])
        for offset in range(3, 13):
            in_flight.accept(incoming(offset))
        assert shed == []
