import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.exceptions import BatcherClosed, BatcherFull, ShapeMismatch
from models.inference.batcher import Batcher, BatchStats, Urgency
from models.manifest import Entry
from tests.support.tiny_models import entry

Crops = NDArray[np.uint8]
Answers = NDArray[np.float32]
POISON = 255
FOREVER = 60.0


class Scorer:
    """Answers each crop's first pixel, and raises for a poisoned one. `gate` holds it back."""

    def __init__(self) -> None:
        self.entry: Entry = entry(path=Path("m.onnx"), sha256="0" * 64)
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()

    def check(self, images: Crops) -> None:
        if images.ndim != 4:
            raise ShapeMismatch("tiny", "images", "no crops")

    columns = 1

    def answer(self, images: Crops) -> Answers:
        self.started.set()
        self.gate.wait(FOREVER)
        values = images[:, 0, 0, 0]
        self.batches.append(values.tolist())
        if (values == POISON).any():
            raise ValueError("poisoned")
        return values[:, None].astype(np.float32)


def crops(*values: int) -> Crops:
    return np.stack([np.full((2, 2, 3), value, np.uint8) for value in values])


@contextmanager
def batcher(
    scorer: Scorer,
    *,
    max_batch: int = 4,
    max_delay_s: float = FOREVER,
    max_queued: int = 1024,
    on_batch: Callable[[BatchStats], None] | None = None,
) -> Iterator[Batcher]:
    with Batcher(
        scorer, max_batch=max_batch, max_delay_s=max_delay_s, max_queued=max_queued, on_batch=on_batch
    ) as opened:
        try:
            yield opened
        finally:
            scorer.gate.set()


def answer(future: Future[Answers]) -> list[float]:
    return [float(row[0]) for row in future.result(5)]


def test_a_full_batch_leaves_at_once() -> None:
    with batcher(scorer := Scorer()) as queue:
        futures = [queue.submit(crops(value)) for value in (1, 2, 3, 4)]
        assert [answer(future) for future in futures] == [[1], [2], [3], [4]]
    assert scorer.batches == [[1, 2, 3, 4]]


def test_a_batch_that_is_not_full_leaves_when_its_oldest_crop_has_waited() -> None:
    with batcher(scorer := Scorer(), max_delay_s=0.05) as queue:
        started = time.monotonic()
        assert answer(queue.submit(crops(1, 2))) == [1, 2]
        assert 0.05 <= time.monotonic() - started < 5
    assert scorer.batches == [[1, 2]]


def test_what_comes_while_a_batch_runs_goes_in_the_next() -> None:
    with batcher(scorer := Scorer(), max_delay_s=0) as queue:
        scorer.gate.clear()
        first = queue.submit(crops(1))
        assert scorer.started.wait(5)
        later = [queue.submit(crops(value)) for value in (2, 3)]
        scorer.gate.set()
        assert [answer(future) for future in (first, *later)] == [[1], [2], [3]]
    assert scorer.batches == [[1], [2, 3]]


def test_crops_submitted_together_may_go_in_several_batches_and_come_back_together() -> None:
    with batcher(scorer := Scorer(), max_batch=3) as queue:
        assert answer(queue.submit(crops(*range(9)))) == list(range(9))
    assert scorer.batches == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_no_crops_are_answered_at_once() -> None:
    with batcher(Scorer()) as queue:
        assert answer(queue.submit(crops(1)[:0])) == []


def test_what_is_no_crop_is_refused_where_it_is_submitted() -> None:
    with batcher(Scorer()) as queue, pytest.raises(ShapeMismatch):
        queue.submit(np.zeros((2, 2), np.uint8))


def test_an_error_reaches_only_those_whose_crops_cause_it() -> None:
    with batcher(Scorer(), max_batch=4) as queue:
        good, bad, other = queue.submit(crops(1)), queue.submit(crops(2, POISON)), queue.submit(crops(3))
        with pytest.raises(ValueError, match="poisoned"):
            bad.result(5)
        assert (answer(good), answer(other)) == ([1], [3])
        after = [queue.submit(crops(4, 5, 6, 7))]
        assert answer(after[0]) == [4, 5, 6, 7]


def test_what_is_left_of_a_failed_submission_is_not_scored() -> None:
    with batcher(scorer := Scorer(), max_batch=2) as queue:
        failed = queue.submit(crops(POISON, 1, 2, 3, 4))
        with pytest.raises(ValueError, match="poisoned"):
            failed.result(5)
        assert answer(queue.submit(crops(5, 6))) == [5, 6]
        assert queue.queued == 0
    assert scorer.batches == [[POISON, 1], [5, 6]]


def test_a_cancelled_submission_is_not_scored() -> None:
    with batcher(scorer := Scorer()) as queue:
        cancelled = queue.submit(crops(1))
        assert cancelled.cancel()
        kept = queue.submit(crops(2, 3, 4))
        assert answer(kept) == [2, 3, 4]
        assert queue.queued == 0
    assert scorer.batches == [[2, 3, 4]]


def test_closing_scores_what_waits_and_refuses_what_comes() -> None:
    scorer = Scorer()
    queue = Batcher(scorer, max_batch=4, max_delay_s=FOREVER)
    futures = [queue.submit(crops(value)) for value in (1, 2, 3)]
    queue.close()
    assert [answer(future) for future in futures] == [[1], [2], [3]]
    with pytest.raises(BatcherClosed, match="tiny"):
        queue.submit(crops(4))
    queue.close()


def test_closing_waits_for_all_batches() -> None:
    scorer = Scorer()
    queue = Batcher(scorer, max_batch=2, max_delay_s=FOREVER)
    future = queue.submit(crops(*range(7)))
    queue.close()
    assert future.done()
    assert answer(future) == list(range(7))


def test_a_full_queue_holds_its_producers_back() -> None:
    with batcher(scorer := Scorer(), max_batch=1, max_queued=2) as queue:
        scorer.gate.clear()
        running = queue.submit(crops(1))
        assert scorer.started.wait(5)
        waiting = queue.submit(crops(2, 3))
        with pytest.raises(BatcherFull, match="2 crops wait, 2 may"):
            queue.submit(crops(4), timeout_s=0.01)
        with ThreadPoolExecutor(1) as pool:
            blocked = pool.submit(queue.submit, crops(5))
            assert not wait([blocked], 0.05).done
            scorer.gate.set()
            assert answer(blocked.result(5)) == [5]
        assert (answer(running), answer(waiting)) == ([1], [2, 3])


def test_a_submission_larger_than_the_queue_is_taken_when_it_is_empty() -> None:
    with batcher(Scorer(), max_batch=2, max_queued=2) as queue:
        assert answer(queue.submit(crops(1, 2, 3, 4, 5, 6))) == [1, 2, 3, 4, 5, 6]


def test_closing_wakes_who_waits_for_room() -> None:
    scorer = Scorer()
    queue = Batcher(scorer, max_batch=1, max_delay_s=FOREVER, max_queued=1)
    scorer.gate.clear()
    queue.submit(crops(1))
    assert scorer.started.wait(5)
    queue.submit(crops(2))
    with ThreadPoolExecutor(2) as pool:
        blocked = pool.submit(queue.submit, crops(3))
        assert not wait([blocked], 0.05).done
        closing = pool.submit(queue.close)
        with pytest.raises(BatcherClosed):
            blocked.result(5)
        scorer.gate.set()
        closing.result(5)


def test_each_batch_is_reported() -> None:
    seen: list[BatchStats] = []
    with batcher(Scorer(), max_batch=2, on_batch=seen.append) as queue:
        answer(queue.submit(crops(1, 2, 3, 4)))
    assert [(each.model, each.crops) for each in seen] == [("tiny", 2), ("tiny", 2)]
    assert all(each.wait_s >= 0 and each.run_s >= 0 for each in seen)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_no_future_is_lost_when_the_thread_dies() -> None:
    def fails(_: BatchStats) -> None:
        raise RuntimeError("the metrics are broken")

    with batcher(scorer := Scorer(), max_batch=1, max_delay_s=0, on_batch=fails) as queue:
        scorer.gate.clear()
        first = queue.submit(crops(1))
        assert scorer.started.wait(5)
        second = queue.submit(crops(2))
        scorer.gate.set()
        assert answer(first) == [1]
        with pytest.raises(BatcherClosed, match="thread ended"):
            second.result(5)
        with pytest.raises(BatcherClosed):
            queue.submit(crops(3))


def test_many_producers_all_get_their_own_answers() -> None:
    scorer = Scorer()
    random = np.random.default_rng(11)
    work = [[random.integers(0, POISON, random.integers(1, 7)).tolist() for _ in range(60)] for _ in range(8)]
    work[3][30] = [1, POISON]
    work[6][10] = [POISON]

    def produce(submissions: list[list[int]]) -> list[Future[Answers]]:
        return [queue.submit(crops(*values)) for values in submissions]

    with (
        Batcher(scorer, max_batch=16, max_delay_s=0.001, max_queued=32) as queue,
        ThreadPoolExecutor(8) as pool,
    ):
        produced = list(pool.map(produce, work))
    for submissions, futures in zip(work, produced, strict=True):
        for values, future in zip(submissions, futures, strict=True):
            if POISON in values:
                assert isinstance(future.exception(5), ValueError)
            else:
                assert answer(future) == values
    assert max(map(len, scorer.batches)) <= 16


@pytest.mark.parametrize("limits", [(0, 0.0, 1), (1, -1.0, 1), (1, 0.0, 0)])
def test_limits_that_cannot_be_are_refused(limits: tuple[int, float, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        Batcher(Scorer(), max_batch=limits[0], max_delay_s=limits[1], max_queued=limits[2])


@contextmanager
def held_back(scorer: Scorer, queue: Batcher) -> Iterator[None]:
    """Keep the batcher busy with a first batch while the block submits."""
    scorer.gate.clear()
    first = queue.submit(crops(99))
    assert scorer.started.wait(FOREVER)
    yield
    scorer.gate.set()
    first.result(5)


def test_more_urgent_crops_go_first() -> None:
    with batcher(scorer := Scorer(), max_batch=2, max_delay_s=0.0) as queue, held_back(scorer, queue):
        bulk = queue.submit(crops(1, 2, 3, 4), Urgency.BULK)
        live = queue.submit(crops(11, 12, 13), Urgency.LIVE)
        waiting = [bulk, live]
    assert not wait(waiting, 5).not_done
    assert scorer.batches == [[99], [11, 12], [13, 1], [2, 3], [4]]


def test_a_less_urgent_lane_has_its_share_of_every_batch() -> None:
    with batcher(scorer := Scorer(), max_batch=8, max_delay_s=0.0) as queue, held_back(scorer, queue):
        live = queue.submit(crops(*range(100, 124)), Urgency.LIVE)
        people = queue.submit(crops(*range(50, 60)), Urgency.INTERACTIVE)
        bulk = queue.submit(crops(*range(10)), Urgency.BULK)
    assert not wait([live, people, bulk], 5).not_done
    lanes = [
        [sum(value >= 100 for value in batch), sum(50 <= value < 100 for value in batch), sum(v < 50 for v in batch)]
        for batch in scorer.batches[1:]
    ]
    # Of eight crops a quarter for people's uploads and an eighth for the backfill, until the stream has all of its own.
    assert lanes[:4] == [[5, 2, 1]] * 4
    assert [sum(lane) for lane in zip(*lanes, strict=True)] == [24, 10, 10]


def test_where_a_batch_is_one_crop_no_lane_starves() -> None:
    with batcher(scorer := Scorer(), max_batch=1, max_delay_s=0.0) as queue, held_back(scorer, queue):
        live = queue.submit(crops(*range(100, 120)), Urgency.LIVE)
        bulk = queue.submit(crops(1, 2), Urgency.BULK)
    assert not wait([live, bulk], 5).not_done
    order = [value for batch in scorer.batches[1:] for value in batch]
    assert order.index(1) == 7, "an eighth of the turns"
    assert order.index(2) == 15


def test_a_backfill_takes_no_room_from_others() -> None:
    with batcher(scorer := Scorer(), max_delay_s=0.0, max_queued=2) as queue, held_back(scorer, queue):
        queue.submit(crops(1, 2), Urgency.BULK)
        with pytest.raises(BatcherFull, match="2 crops wait, 2 may"):
            queue.submit(crops(3), Urgency.BULK, timeout_s=0)
        live = queue.submit(crops(11), Urgency.LIVE, timeout_s=0)
        assert queue.queued == 3
    assert answer(live) == [11]
