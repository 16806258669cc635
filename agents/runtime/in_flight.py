"""Everything between being read and being done: lanes, budgets and progress, behind one lock."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Condition
from time import monotonic

from agents.runtime.agent import BatchPolicy, Lane
from agents.runtime.deadline import Deadline
from agents.runtime.messages import Incoming, Partition
from agents.runtime.pace import Pace
from agents.runtime.queues import Fair, InOrder, Queue
from agents.runtime.watermark import PartitionProgress

_RESUME_AT = 0.5
"""A paused lane resumes when it has fallen to this share of its budget: hysteresis."""


@dataclass(slots=True)
class _LaneState:
    lane: Lane
    waiting: Queue
    messages: int = 0
    size: int = 0
    paused: bool = False
    credit: float = 0.0
    pace: Pace = field(default_factory=Pace)

    def put(self, message: Incoming) -> None:
        self.waiting.put(message)
        self.messages += 1
        self.size += message.size

    def stale(self) -> Incoming | None:
        """Take out what is to be let go next; none where all that waits can be handled in time."""
        shedding, pace, waiting = self.lane.shedding, self.pace.by_second, self.waiting
        if shedding is None or pace is None or not isinstance(waiting, Fair):
            return None
        if len(waiting) <= max(shedding.least, pace * shedding.max_delay_s):
            return None
        return waiting.drop()


@dataclass(slots=True)
class _PartitionState:
    progress: PartitionProgress = field(default_factory=PartitionProgress)
    in_hand: int = 0


@dataclass(frozen=True, slots=True)
class Flow:
    """Topics whose partitions should be paused, and resumed, now."""

    pause: frozenset[str]
    resume: frozenset[str]


class InFlight:
    """Messages in flight. The consumer thread puts in, handler threads take out and complete.

    `max_bytes` bounds the messages of each lane; `on_shed` is told of those that are let go, see `Shedding`. All
    methods are thread-safe.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        max_bytes: int,
        clock: Callable[[], float] = monotonic,
        on_shed: Callable[[Incoming], None] = lambda _: None,
    ) -> None:
        self._lanes = [_LaneState(lane, InOrder() if lane.shedding is None else Fair()) for lane in lanes]
        self._lane_of = {topic.name: state for state in self._lanes for topic in state.lane.topics}
        self._partitions: dict[Partition, _PartitionState] = {}
        self._state_of: dict[Incoming, _PartitionState] = {}
        self._max_bytes = max_bytes
        self._clock = clock
        self._on_shed = on_shed
        self._changed = Condition()
        self._closed = False
        self._holding = 0

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Start to keep the progress of partitions."""
        with self._changed:
            for partition in partitions:
                self._partitions[partition] = _PartitionState()

    def accept(self, message: Incoming) -> bool:
        """Queue a message; false if its partition is not assigned (any more)."""
        with self._changed:
            state = self._partitions.get(message.partition)
            if state is None:
                return False
            state.progress.begin(message.offset)
            self._state_of[message] = state
            lane = self._lane_of[message.topic.name]
            lane.put(message)
            self._shed(lane)
            self._changed.notify_all()
            return True

    def _shed(self, lane: _LaneState) -> None:
        """Let go of what cannot be handled in time: done, without having been handled."""
        while not self._holding and (message := lane.stale()) is not None:
            self._forget(message).progress.complete(message.offset)
            self._on_shed(message)

    def hold(self) -> None:
        """Let nothing go until `release`: a handler waits for something that is away, which tells no pace."""
        with self._changed:
            self._holding += 1

    def release(self) -> None:
        """End what `hold` began."""
        with self._changed:
            self._holding -= 1
            for lane in self._lanes:
                lane.pace.idle()

    def take(self, policy: BatchPolicy) -> list[Incoming]:
        """Wait for messages and return a batch of one lane; empty only when closed."""
        with self._changed:
            while not self._closed:
                for lane in self._lanes:
                    if not lane.waiting:
                        lane.pace.idle()
                self._changed.wait_for(lambda: self._closed or any(lane.waiting for lane in self._lanes))
                if self._closed:
                    break
                lane = self._next_lane()
                self._wait_for_batch(lane, policy)
                # While it waited for more, another taker or a rebalance may have emptied the lane.
                if lane.waiting and not self._closed:
                    return self._hand_out(lane, policy.max_messages)
            return []

    def _wait_for_batch(self, lane: _LaneState, policy: BatchPolicy) -> None:
        if policy.max_messages > 1:
            deadline = Deadline.after(policy.max_delay_s, self._clock)
            self._changed.wait_for(
                lambda: self._closed or len(lane.waiting) >= policy.max_messages, timeout=deadline.remaining_s
            )

    def _hand_out(self, lane: _LaneState, most: int) -> list[Incoming]:
        batch = [lane.waiting.take() for _ in range(min(most, len(lane.waiting)))]
        for message in batch:
            self._state_of[message].in_hand += 1
        lane.pace.hand_out(len(batch), self._clock())
        return batch

    def _next_lane(self) -> _LaneState:
        """Choose by urgency; a less urgent lane that waits earns its share of a turn at each choice."""
        ready = [lane for lane in self._lanes if lane.waiting]
        for lane in ready[1:]:
            lane.credit += lane.lane.share
        for lane in ready[1:]:
            if lane.credit >= 1.0:
                lane.credit -= 1.0
                return lane
        return ready[0]

    def complete(self, message: Incoming) -> None:
        """Note that everything that a taken message asks for is done."""
        with self._changed:
            state = self._forget(message)
            state.progress.complete(message.offset)
            state.in_hand -= 1
            self._changed.notify_all()

    def abandon(self, message: Incoming) -> None:
        """Let a taken message go undone: its offset holds the watermark, and it will be read again."""
        with self._changed:
            self._forget(message).in_hand -= 1
            self._changed.notify_all()

    def _forget(self, message: Incoming) -> _PartitionState:
        lane = self._lane_of[message.topic.name]
        lane.messages -= 1
        lane.size -= message.size
        return self._state_of.pop(message)

    def discard_waiting(self, partitions: Iterable[Partition]) -> None:
        """Drop what is queued and not yet taken of these partitions; it will be read again."""
        gone = frozenset(partitions)
        with self._changed:
            for lane in self._lanes:
                for message in lane.waiting.discard(gone):
                    self._forget(message)
            self._changed.notify_all()

    def wait_until_idle(self, partitions: Iterable[Partition], deadline: Deadline) -> bool:
        """Wait until no taken message of these partitions is in hand; false if the deadline came first."""
        states = [self._partitions[partition] for partition in partitions if partition in self._partitions]
        with self._changed:
            return self._changed.wait_for(
                lambda: all(state.in_hand == 0 for state in states), timeout=deadline.remaining_s
            )

    def revoke(self, partitions: Iterable[Partition]) -> None:
        """Stop keeping the progress of partitions. What still is in hand of them changes nothing any more."""
        with self._changed:
            for partition in partitions:
                self._partitions.pop(partition, None)

    def watermarks(self) -> Mapping[Partition, int]:
        """Return the offset to commit of each partition that has one."""
        with self._changed:
            return {
                partition: state.progress.watermark
                for partition, state in self._partitions.items()
                if state.progress.watermark is not None
            }

    def flow(self) -> Flow:
        """Return which topics to pause and to resume since the last call."""
        pause: set[str] = set()
        resume: set[str] = set()
        with self._changed:
            for state in self._lanes:
                names = {topic.name for topic in state.lane.topics}
                full = state.messages >= state.lane.max_messages or state.size >= self._max_bytes
                low = (
                    state.messages <= _RESUME_AT * state.lane.max_messages
                    and state.size <= _RESUME_AT * self._max_bytes
                )
                if full and not state.paused:
                    state.paused = True
                    pause |= names
                elif low and state.paused:
                    state.paused = False
                    resume |= names
        return Flow(frozenset(pause), frozenset(resume))

    def paused_topics(self) -> frozenset[str]:
        """Return the topics whose lanes are paused."""
        with self._changed:
            return frozenset(topic.name for state in self._lanes if state.paused for topic in state.lane.topics)

    def totals(self) -> tuple[int, int]:
        """Return how many messages and bytes are in flight."""
        with self._changed:
            return sum(lane.messages for lane in self._lanes), sum(lane.size for lane in self._lanes)

    def close(self) -> None:
        """Wake every taker; from now on they get nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
