"""Gather crops of many threads into batches: full, or as old as the oldest may wait."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from models.exceptions import BatcherClosed, BatcherFull, ModelError
from models.manifest import Entry

Crops = NDArray[np.uint8]
Answers = NDArray[np.float32]
"""float32 [N, C], a row for each crop, see `models.inference.session.Answers`."""


class Scorer(Protocol):
    """What a batcher drives; `models.inference.session.Session` is one."""

    @property
    def entry(self) -> Entry:
        """The manifest entry it scores by."""

    def check(self, images: Crops) -> None:
        """Raise ShapeMismatch unless the images are crops for this model."""

    @property
    def columns(self) -> int:
        """C of its answers."""

    def answer(self, images: Crops) -> Answers:
        """Score crops, in the caller's thread."""


@dataclass(frozen=True, slots=True)
class BatchStats:
    """One batch: crops in it, seconds its oldest crop waited, seconds it ran."""

    model: str
    crops: int
    wait_s: float
    run_s: float


OnBatch = Callable[[BatchStats], None]


class Urgency(IntEnum):
    """Whose crops go first. A less urgent lane that waits is given its share of every batch all the same."""

    LIVE = 0
    """A stream that runs."""
    INTERACTIVE = 1
    """An upload that somebody waits for."""
    BULK = 2
    """A backfill."""


SHARES = {Urgency.LIVE: 1.0, Urgency.INTERACTIVE: 0.25, Urgency.BULK: 0.125}
"""Of the crops of a batch, to a lane that waits while more urgent ones could fill it."""


@dataclass(slots=True, eq=False)
class _Submission:
    """Crops that were submitted together, and how far they are."""

    images: Crops
    submitted_at: float
    answers: Answers
    future: Future[Answers] = field(default_factory=Future)
    taken: int = 0
    scored: int = 0


@dataclass(slots=True, eq=False)
class _Lane:
    """Submissions of one urgency, oldest first, and how many crops wait in them."""

    share: float
    waiting: deque[_Submission] = field(default_factory=deque)
    queued: int = 0
    credit: float = 0.0
    """Crops that it may have before more urgent ones."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The crops of one submission that go into one batch."""

    submission: _Submission
    start: int
    stop: int

    @property
    def images(self) -> Crops:
        return self.submission.images[self.start : self.stop]


class Batcher:
    """One thread that scores what many submit.

    Every future that `submit` gave out ends: with its answers, with the error of its own crops, with BatcherClosed, or
    with the error of `abandon`. Crops of one submission may go in several batches; a batch that fails is run again
    submission by submission, so that an error reaches only those whose crops cause it.

    Args:
        session: used by the batcher's thread only.
        max_batch: crops in a batch at most.
        max_delay_s: how long the oldest crop waits for company.
        max_queued: crops of each urgency that may wait; `submit` blocks while there are more.
        on_batch: called in the batcher's thread after each batch; an error of it closes the batcher.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        session: Scorer,
        *,
        max_batch: int,
        max_delay_s: float,
        max_queued: int = 1024,
        on_batch: OnBatch | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_batch < 1 or max_delay_s < 0 or max_queued < 1:
            raise ValueError("max_batch and max_queued must be at least 1, max_delay_s at least 0")
        self._session = session
        self._name = session.entry.name
        self._max_batch = max_batch
        self._max_delay_s = max_delay_s
        self._max_queued = max_queued
        self._on_batch = on_batch
        self._clock = clock
        self._lanes = {urgency: _Lane(SHARES[urgency]) for urgency in Urgency}
        self._closed = False
        self._abandoned: ModelError | None = None
        lock = threading.Lock()
        self._work = threading.Condition(lock)
        self._room = threading.Condition(lock)
        self._thread = threading.Thread(target=self._serve, name=f"batcher-{self._name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def queued(self) -> int:
        """Crops that wait for a batch."""
        return sum(lane.queued for lane in self._lanes.values())

    def submit(
        self, images: Crops, urgency: Urgency = Urgency.INTERACTIVE, *, timeout_s: float | None = None
    ) -> Future[Answers]:
        """Have crops scored.

        Args:
            images: uint8 [K, S, S, 3], RGB, K ≥ 0; not to be changed until the future is done.
            urgency: whose they are.
            timeout_s: how long to wait for room in the queue; without it, as long as it takes.

        Returns:
            A future of float32 [K, C]; it raises what the session raised for these crops.

        Raises:
            ShapeMismatch: the images are not crops for this model.
            BatcherFull: no room within `timeout_s`.
            BatcherClosed: closed, before or while waiting.
            ModelError: of `abandon`.
        """
        self._session.check(images)
        submission = _Submission(images, self._clock(), np.empty((len(images), self._session.columns), np.float32))
        if len(images) == 0:
            submission.future.set_result(submission.answers)
            return submission.future
        lane = self._lanes[urgency]
        with self._room:
            if not self._room.wait_for(lambda: self._closed or self._has_room(lane, len(images)), timeout_s):
                raise BatcherFull(self._name, "max_queued", f"{lane.queued} crops wait, {self._max_queued} may")
            if self._closed:
                raise self._ended("the batcher is closed")
            first = self.queued == 0
            lane.waiting.append(submission)
            lane.queued += len(images)
            # The thread needs to know of the first crop, whose deadline runs, and of a full batch.
            if first or self.queued >= self._max_batch:
                self._work.notify()
        return submission.future

    def close(self) -> None:
        """Score what waits, without delay, and stop. Further submissions raise; it may be called again."""
        self._stop(None)

    def abandon(self, error: ModelError) -> None:
        """Stop after the batch that runs; what waits, and what is submitted later, gets the error."""
        self._stop(error)

    def _stop(self, error: ModelError | None) -> None:
        with self._work:
            self._closed = True
            self._abandoned = self._abandoned or error
            self._work.notify_all()
            self._room.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _has_room(self, lane: _Lane, count: int) -> bool:
        """A submission larger than the whole queue goes in when the queue is empty."""
        return lane.queued == 0 or lane.queued + count <= self._max_queued

    def _serve(self) -> None:
        try:
            while parts := self._next_batch():
                self._score(parts)
        finally:
            with self._work:
                self._closed = True
                left = [submission for lane in self._lanes.values() for submission in lane.waiting]
                self._lanes = {urgency: _Lane(SHARES[urgency]) for urgency in Urgency}
                self._room.notify_all()
            for submission in left:
                if not submission.future.done():
                    submission.future.set_exception(self._ended("the batcher's thread ended"))

    def _ended(self, problem: str) -> ModelError:
        """A new error each time: several threads raise it."""
        given = self._abandoned
        if given is None:
            return BatcherClosed(self._name, "submit", problem)
        return type(given)(given.entry, given.field, given.problem)

    def _next_batch(self) -> list[_Part]:
        """Wait for a full batch, a deadline or closing; empty when closed and nothing waits."""
        with self._work:
            while True:
                self._wait_for_batch()
                if self._abandoned is not None:
                    return []
                parts = self._take()
                self._room.notify_all()
                # All that was waiting may have been cancelled.
                if parts or (self._closed and self.queued == 0):
                    return parts

    def _wait_for_batch(self) -> None:
        while not self._closed and self.queued < self._max_batch:
            heads = [lane.waiting[0].submitted_at for lane in self._lanes.values() if lane.waiting]
            if not heads:
                self._work.wait()
                continue
            left_s = min(heads) + self._max_delay_s - self._clock()
            if left_s <= 0:
                return
            self._work.wait(left_s)

    def _take(self) -> list[_Part]:
        """Take up to a full batch of crops: what less urgent lanes have earned, then by urgency, oldest first."""
        parts: list[_Part] = []
        space = self._max_batch
        ready = [lane for lane in self._lanes.values() if lane.waiting]
        for lane in ready[1:]:
            lane.credit += lane.share * self._max_batch
        for lane in reversed(ready[1:]):
            space -= self._take_of(lane, min(space, int(lane.credit)), parts)
        for lane in ready:
            space -= self._take_of(lane, space, parts)
        for lane in self._lanes.values():
            if not lane.waiting:
                lane.credit = 0.0
        return parts

    def _take_of(self, lane: _Lane, most: int, parts: list[_Part]) -> int:
        """Take crops of one lane, and return how many; cancelled submissions go."""
        space = most
        while lane.waiting and space:
            submission = lane.waiting[0]
            wanted = submission.taken == 0 and submission.future.set_running_or_notify_cancel()
            left = len(submission.images) - submission.taken
            if not wanted and (submission.taken == 0 or submission.future.done()):
                lane.waiting.popleft()
                lane.queued -= left
                continue
            count = min(space, left)
            parts.append(_Part(submission, submission.taken, submission.taken + count))
            submission.taken += count
            space -= count
            lane.queued -= count
            lane.credit = max(0.0, lane.credit - count)
            if count == left:
                lane.waiting.popleft()
        return most - space

    def _score(self, parts: Sequence[_Part]) -> None:
        started_at = self._clock()
        oldest = min(part.submission.submitted_at for part in parts)
        crops = sum(part.stop - part.start for part in parts)
        self._run(parts)
        if self._on_batch is not None:
            self._on_batch(BatchStats(self._name, crops, started_at - oldest, self._clock() - started_at))

    def _run(self, parts: Sequence[_Part]) -> None:
        images = parts[0].images if len(parts) == 1 else np.concatenate([part.images for part in parts])
        try:
            answers = self._session.answer(images)
        except Exception as error:  # noqa: BLE001 - every error belongs to a future
            if len(parts) > 1:
                for part in parts:
                    self._run([part])
            else:
                parts[0].submission.future.set_exception(error)
            return
        at = 0
        for part in parts:
            submission, count = part.submission, part.stop - part.start
            submission.answers[part.start : part.stop] = answers[at : at + count]
            at += count
            submission.scored += count
            if submission.scored == len(submission.images):
                submission.future.set_result(submission.answers)
