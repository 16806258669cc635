"""The scoring path on real clips, against decoding alone and inference alone."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter

from agents.analysis import SegmentResult
from agents.assembly import decoder_policy, fetcher, scorer
from agents.inspection import Inspector
from agents.model_set import LoadedModels, selection
from agents.plans import plan
from agents.runtime.metrics import Metrics
from agents.scorer import Scorer
from agents.settings import Settings, load_settings
from bench.bare_stages import BareStages, at_best, calls_of
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from bench.segments import upload_of
from models.asking import asking
from models.policy import DEFAULT_POLICY
from models.scoring import ScoringLimits
from schemas.media import Segment
from tests.conftest import DATA

_RATE_FPS = 2.0
_LIMITS = ScoringLimits()


@dataclass(frozen=True, slots=True)
class _Clips:
    """Clips, the segments that they are planned into, and what scores them."""

    paths: Sequence[Path]
    segments: Sequence[Segment]
    scorer: Scorer
    models: LoadedModels
    handlers: int

    def path(self) -> tuple[int, float, Sequence[SegmentResult]]:
        """Score them by the path: frames, seconds, results."""
        began = perf_counter()
        with ThreadPoolExecutor(self.handlers) as pool:
            results = list(pool.map(lambda segment: self.scorer.score(segment, 0), self.segments))
        return sum(len(result.frames) for result in results), perf_counter() - began, results


def measure(run: Run) -> Section:
    """Measure all clips together, where they are there."""
    folder = DATA / "video"
    title = f"Real clips, {_RATE_FPS:g} frames of each second"
    head = ("way", "frames/s", "of slower stage", "of both at best")
    if not folder.is_dir():
        return Section("The path on real clips", (Table(title, head, (), "Not measured: the clips are not there."),))
    clips = _opened(folder, run.amount(10, 2))
    try:
        run.tell("clips: the path, once")
        _, _, results = clips.path()
        stages = _stages(clips, results)
        paces: dict[str, list[float]] = {name: [] for name in ("decode", "inference", "path")}
        for repetition in range(run.amount(3, 1)):
            run.tell(f"clips: {repetition + 1}")
            paces["decode"].append(_pace([stage.decode for stage in stages], clips.handlers))
            with clips.models.lease("") as detectors:
                paces["inference"].append(
                    _pace([partial(stage.inference, detectors) for stage in stages], clips.handlers)
                )
            frames, seconds, _ = clips.path()
            paces["path"].append(frames / seconds)
    finally:
        clips.scorer.close()
    both = list(zip(paces["decode"], paces["inference"], strict=True))
    path = Samples(tuple(paces["path"]))
    slower, best = Samples(tuple(map(min, both))), Samples(tuple(at_best(*each) for each in both))
    rows = (
        ("decoding alone", Samples(tuple(paces["decode"])).text(1), "·", "·"),
        ("inference alone", Samples(tuple(paces["inference"])).text(1), "·", "·"),
        (f"Scorer.score, {clips.handlers} handlers", path.text(1), path.over(slower).text(2), path.over(best).text(2)),
    )
    note = (
        f"{len(clips.paths)} clips, {frames} frames, with the fleet's models; the stages alone have all cores. Both "
        "need the same cores, so that together they reach 1/(1/decode + 1/inference) at best: what is missing to the "
        "slower stage is the other one, and not what lies between them."
    )
    return Section("The path on real clips", (Table(title, head, rows, note),))


def _opened(folder: Path, most: int) -> _Clips:
    settings = load_settings(media={"allowed_roots": [str(folder)]})
    handlers, metrics = settings.segments.concurrency, Metrics()
    models = LoadedModels(settings.models, metrics)
    opened = scorer(settings, metrics, models, handlers)
    opened.open()
    paths = sorted(folder.glob("*.mp4"))[:most]
    return _Clips(paths, _planned(paths, settings), opened, models, handlers)


def _planned(paths: Sequence[Path], settings: Settings) -> list[Segment]:
    inspector = Inspector(fetcher(settings.media), decoder_policy(settings, 1), Metrics(), trust_declared_sha256=False)
    inspector.open()
    names = count()
    try:
        segments: list[Segment] = []
        for path in paths:
            upload = upload_of(path, f"clip-{next(names)}", _RATE_FPS)
            inspected = inspector.inspect(upload)
            segments += plan(
                upload,
                inspected.info,
                inspected.key_frames_ms,
                moving=True,
                segment_s=settings.uploads.segment_s,
                model_set=selection(settings.models).fingerprint(str(upload.media_id)),
                policy=DEFAULT_POLICY.reference,
                received_at=upload.uploaded_at,
                planned_at=upload.uploaded_at,
            )
        return segments
    finally:
        inspector.close()


def _stages(clips: _Clips, results: Sequence[SegmentResult]) -> list[BareStages]:
    """The bare stages of each clip, one thread each; they run side by side."""
    with clips.models.lease("") as detectors:
        asked = asking(clips.segments[0].upload.detection_level, detectors.entries)
    stages = [
        BareStages(path, _RATE_FPS, 1, 1, _LIMITS, asked, calls_of(result.frames))
        for path, result in zip(clips.paths, results, strict=True)
    ]
    for stage in stages:
        stage.make_ready()
    return stages


def _pace(calls: Sequence[Callable[[], int]], handlers: int) -> float:
    """Frames a second of calls that run side by side; each returns its frames."""
    began = perf_counter()
    with ThreadPoolExecutor(handlers) as pool:
        frames: int = sum(pool.map(lambda call: call(), calls))
    return frames / (perf_counter() - began)
