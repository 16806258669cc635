"""Frames on their way out: few wait, the oldest gives way, and a lease that is not surely ours lets none out."""

from collections.abc import Iterator

import pytest

from agents.local.ports import choose_ports
from agents.pulling.leases import Lease
from agents.pulling.outlet import IN_FLIGHT, WAITING, FrameQueue, Outlet, traceparent
from agents.pulling.wire import Still
from agents.settings import KafkaSettings
from topics.live_frames import LiveFrame


class Taken:
    """A broker's side that confirms when it is told to."""

    def __init__(self) -> None:
        self.frames: list[LiveFrame] = []
        self.unconfirmed: list[object] = []
        self.full = False

    def send_frame(self, frame: LiveFrame, done: object) -> bool:
        if not self.full:
            self.frames.append(frame)
            self.unconfirmed.append(done)
        return not self.full

    def confirm(self, *, taken: bool = True) -> None:
        self.unconfirmed.pop(0)(taken)  # type: ignore[operator]  # it is the queue's


class Fates:
    def __init__(self) -> None:
        self.published = 0
        self.dropped = 0

    def publish(self) -> None:
        self.published += 1

    def drop(self, count: int) -> None:
        self.dropped += count


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
def fates() -> Fates:
    return Fates()


def lease(good_until_s: float = 1e9) -> Lease:
    return Lease("a", 1, 100, 10_000, good_until_s)


@pytest.fixture
def queue(taken: Taken, fates: Fates) -> FrameQueue:
    return FrameQueue(taken, lease(), fates.publish, fates.drop, lambda: 0.0)  # type: ignore[arg-type]


def still(number: int) -> Still:
    return Still(1_790_000_000_000 + number, number, 8, 8, b"jpeg")


def test_while_nothing_is_confirmed_only_the_freshest_wait(queue: FrameQueue, taken: Taken, fates: Fates) -> None:
    for number in range(100):
        queue.put(still(number))
    assert [frame.pts_ms for frame in taken.frames] == list(range(IN_FLIGHT))
    assert fates.dropped == 100 - IN_FLIGHT - WAITING
    for _ in range(IN_FLIGHT):
        taken.confirm()
    assert [frame.pts_ms for frame in taken.frames[IN_FLIGHT:]] == [96, 97, 98, 99]
    assert [frame.seq for frame in taken.frames] == [100, 101, 102, 103, 104, 105, 106, 107]
    assert fates.published == IN_FLIGHT


def test_what_the_broker_did_not_take_is_counted_and_not_sent_again(
    queue: FrameQueue, taken: Taken, fates: Fates
) -> None:
    queue.put(still(1))
    taken.confirm(taken=False)
    assert (fates.published, fates.dropped, len(taken.frames)) == (0, 1, 1)


def test_what_cannot_be_handed_over_is_dropped(queue: FrameQueue, taken: Taken, fates: Fates) -> None:
    taken.full = True
    queue.put(still(1))
    taken.full = False
    queue.put(still(2))
    assert ([frame.pts_ms for frame in taken.frames], fates.dropped) == ([2], 1)


def test_by_a_lease_that_ran_out_nothing_is_published(taken: Taken, fates: Fates) -> None:
    held, now_s = lease(good_until_s=10), [9.9]
    queue = FrameQueue(taken, held, fates.publish, fates.drop, lambda: now_s[0])  # type: ignore[arg-type]
    for number in range(IN_FLIGHT + 2):
        queue.put(still(number))
    now_s[0] = 10.0
    # What waited is not let out by the report of what went before.
    taken.confirm()
    assert (len(taken.frames), fates.dropped) == (IN_FLIGHT, 2)
    held.good_until_s = 20
    queue.put(still(9))
    assert taken.frames[-1].pts_ms == 9


def test_a_queue_that_was_closed_lets_nothing_more_out(queue: FrameQueue, taken: Taken, fates: Fates) -> None:
    for number in range(IN_FLIGHT + 1):
        queue.put(still(number))
    queue.close()
    queue.put(still(99))
    taken.confirm()
    assert (len(taken.frames), fates.dropped) == (IN_FLIGHT, 1)


@pytest.fixture
def nowhere() -> Iterator[Outlet]:
    """An outlet to a broker that is not there."""
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{choose_ports(1)[0]}")
    outlet = Outlet(kafka, frame_timeout_s=0.2)
    yield outlet
    outlet.close()


def test_the_client_librarys_own_queue_does_not_grow_while_the_broker_is_away(nowhere: Outlet, fates: Fates) -> None:
    queue = FrameQueue(nowhere, lease(), fates.publish, fates.drop, lambda: 0.0)
    sent = 0
    while fates.dropped < 200 or sent < 500:
        queue.put(still(sent))
        sent += 1
        # With reports that were not fetched yet, and errors of the connection.
        assert nowhere.unconfirmed <= 4 * IN_FLIGHT
    assert fates.published == 0


def test_a_trace_begins_with_a_frame_and_is_the_same_for_the_same_frame() -> None:
    assert traceparent("a", 1) == traceparent("a", 1) != traceparent("a", 2)
    version, trace, span, flags = traceparent("a", 1).split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")
