"""Images a second of one session: full batches in a bare loop, and many threads' crops through the batcher."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from queue import SimpleQueue
from threading import Thread
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from agents.settings import ModelSettings
from bench.samples import Samples
from models.inference.batcher import Batcher, BatchStats, OnBatch
from models.inference.session import Session

PRODUCERS = 4
FACES = (1, 1, 2, 1, 3, 1, 1, 4)
"""Crops of one submission after the other: the faces of frames."""
BATCHES_AHEAD = 3
"""Full batches that the producers have under way together, so that one always lies ready."""
DELAY_S = ModelSettings().batch_delay_ms / 1000


@dataclass(slots=True)
class Race:
    """What a session was seen to do with batches of one size, repetition by repetition."""

    bare: list[float] = field(default_factory=list)
    batched: list[float] = field(default_factory=list)
    fills: list[float] = field(default_factory=list)

    @property
    def ours(self) -> Samples:
        """Images a second through the batcher."""
        return Samples(tuple(self.batched))

    @property
    def base(self) -> Samples:
        """Images a second of the bare loop."""
        return Samples(tuple(self.bare))

    @property
    def fill(self) -> float:
        """How full batches were, 0 to 1."""
        return float(np.mean(self.fills))


def race(session: Session, images: NDArray[np.uint8], repetitions: int, seconds: float) -> Race:
    """Measure both ways alternately, whoever begins; the batch is as large as there are images."""
    seen = Race()
    for repetition in range(repetitions):
        for way in (0, 1) if repetition % 2 == 0 else (1, 0):
            if way == 0:
                seen.bare.append(bare_rate(session, images, seconds))
            else:
                rate, fill = batched_rate(session, images, seconds)
                seen.batched.append(rate)
                seen.fills.append(fill)
    return seen


def bare_rate(session: Session, images: NDArray[np.uint8], seconds: float) -> float:
    """Return images a second of full batches that lie ready."""
    began, done = perf_counter(), 0
    while perf_counter() - began < seconds:
        session.answer(images)
        done += len(images)
    return done / (perf_counter() - began)


def batched_rate(session: Session, images: NDArray[np.uint8], seconds: float) -> tuple[float, float]:
    """Return images a second through the batcher, and how full batches were; what ends too late is not counted."""
    ended: list[tuple[float, int]] = []

    def note(batch: BatchStats) -> None:
        ended.append((perf_counter(), batch.crops))

    with batcher_of(session, len(images), note) as batcher:
        began = perf_counter()
        threads = [Thread(target=_produce, args=(batcher, images, began + seconds)) for _ in range(PRODUCERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    counted = [batch for batch in ended if batch[0] <= began + seconds] or ended
    crops = sum(batch[1] for batch in counted)
    return crops / (counted[-1][0] - began), crops / (len(counted) * len(images))


@contextmanager
def batcher_of(session: Session, batch: int, on_batch: OnBatch) -> Iterator[Batcher]:
    """A batcher with the agents' patience."""
    with Batcher(session, max_batch=batch, max_delay_s=DELAY_S, on_batch=on_batch) as batcher:
        yield batcher


def ahead(batch: int) -> int:
    """Return how many submissions each producer has under way, as the frames of a segment are."""
    return max(2, round(BATCHES_AHEAD * batch / (PRODUCERS * np.mean(FACES))))


def _produce(batcher: Batcher, images: NDArray[np.uint8], until: float) -> None:
    under_way: SimpleQueue[Future[NDArray[np.float32]]] = SimpleQueue()
    most = ahead(len(images))
    for faces in cycle(FACES):
        under_way.put(batcher.submit(images[: min(faces, len(images))]))
        if under_way.qsize() >= most:
            under_way.get().result()
        if perf_counter() >= until:
            break
    while not under_way.empty():
        under_way.get().result()
