"""Gather crops of many threads into batches: full, or as old as the oldest may wait."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from models.exceptions import BatcherClosed, BatcherFull
from models.manifest import Entry

Crops = NDArray[np.uint8]
Answers = NDArray[np.float32]
"""float32 [N, C], a row for each crop, see `models.session.Answers`."""


class Scorer(Protocol):
    """What a batcher drives; `models.session.Session` is one."""

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


@dataclass(slots=True, eq=False)
class _Submission:
    """Crops that were submitted together, and how far they are."""

    images: Crops
    submitted_at: float
    answers: Answers
    future: Future[Answers] = field(default_factory=Future)
    taken: int = 0
    scored: int = 0


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

    Every future that `submit` gave out ends: with its answers, with the error of its own crops, or with
    BatcherClosed. Crops of one submission may go in several batches; a batch that fails is run again
    submission by submission, so that an error reaches only those whose crops cause it.

    Args:
        session: used by the batcher's thread only.
        max_batch: crops in a batch at most.
        max_delay_s: how long the oldest crop waits for company.
        max_queued: crops that may wait; `submit` blocks while there are more.
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
        self._waiting: deque[_Submission] = deque()
        self._queued = 0
        self._closed = False
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
        return self._queued

    def submit(self, images: Crops, *, timeout_s: float | None = None) -> Future[Answers]:
        """Have crops scored.

        Args:
            images: uint8 [K, S, S, 3], RGB, K ≥ 0; not to be changed until the future is done.
            timeout_s: how long to wait for room in the queue; without it, as long as it takes.

        Returns:
            A future of float32 [K, C]; it raises what the session raised for these crops.

        Raises:
            ShapeMismatch: the images are not crops for this model.
            BatcherFull: no room within `timeout_s`.
            BatcherClosed: closed, before or while waiting.
        """
        self._session.check(images)
        submission = _Submission(images, self._clock(), np.empty((len(images), self._session.columns), np.float32))
        if len(images) == 0:
            submission.future.set_result(submission.answers)
            return submission.future
        with self._room:
            if not self._room.wait_for(lambda: self._closed or self._has_room(len(images)), timeout_s):
                raise BatcherFull(self._name, "max_queued", f"{self._queued} crops wait, {self._max_queued} may")
            if self._closed:
                raise BatcherClosed(self._name, "submit", "the batcher is closed")
            self._waiting.append(submission)
            self._queued += len(images)
            # The thread needs to know of the first crop, whose deadline runs, and of a full batch.
            if len(self._waiting) == 1 or self._queued >= self._max_batch:
                self._work.notify()
        return submission.future

    def close(self) -> None:
        """Score what waits, without delay, and stop. Further submissions raise; it may be called again."""
        with self._work:
            self._closed = True
            self._work.notify_all()
            self._room.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _has_room(self, count: int) -> bool:
        """A submission larger than the whole queue goes in when the queue is empty."""
        return self._queued == 0 or self._queued + count <= self._max_queued

    def _serve(self) -> None:
        try:
            while parts := self._next_batch():
                self._score(parts)
        finally:
            with self._work:
                self._closed = True
                left, self._waiting, self._queued = self._waiting, deque(), 0
                self._room.notify_all()
            for submission in left:
                if not submission.future.done():
                    reason = BatcherClosed(self._name, "run", "the batcher's thread ended")
                    submission.future.set_exception(reason)

    def _next_batch(self) -> list[_Part]:
        """Wait for a full batch, a deadline or closing; empty when closed and nothing waits."""
        with self._work:
            while True:
                self._wait_for_batch()
                parts = self._take()
                self._room.notify_all()
                # All that was waiting may have been cancelled.
                if parts or (self._closed and not self._waiting):
                    return parts

    def _wait_for_batch(self) -> None:
        while not self._closed and self._queued < self._max_batch:
            if not self._waiting:
                self._work.wait()
                continue
            left_s = self._waiting[0].submitted_at + self._max_delay_s - self._clock()
            if left_s <= 0:
                return
            self._work.wait(left_s)

    def _take(self) -> list[_Part]:
        """Take up to a full batch of crops, oldest first; cancelled submissions go."""
        parts: list[_Part] = []
        space = self._max_batch
        while self._waiting and space:
            submission = self._waiting[0]
            wanted = submission.taken == 0 and submission.future.set_running_or_notify_cancel()
            left = len(submission.images) - submission.taken
            if not wanted and (submission.taken == 0 or submission.future.done()):
                self._waiting.popleft()
                self._queued -= left
                continue
            count = min(space, left)
            parts.append(_Part(submission, submission.taken, submission.taken + count))
            submission.taken += count
            space -= count
            self._queued -= count
            if count == left:
                self._waiting.popleft()
        return parts

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
