"""A segments agent that runs, and everything that its pace is compared with, on the same models and the same clip."""

import cProfile
import pstats
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from agents.assembly import decoder_policy, fetcher
from agents.model_set import LoadedModels
from agents.runtime.metrics import Metrics
from agents.scorer import Scorer
from agents.segments import Segments
from bench.bare_stages import BareStages, calls_of
from bench.segments import Planner
from bench.straight import Stages, Straight
from bench.verdicts import VerdictReader
from models.asking import asking
from models.scoring import ScoringLimits
from tests.support.fleet import Fleet, Running
from topics import catalogue


@dataclass(slots=True)
class Workbench:
    """A segments agent that runs, and its scorer, which is used with it and without."""

    fleet: Fleet
    planner: Planner
    models: LoadedModels
    scorer: Scorer
    reader: VerdictReader
    limits: ScoringLimits
    stages: BareStages
    clips: int
    """Scored in a repetition."""
    names: Iterator[int] = field(default_factory=count)
    straight: Stages = field(default_factory=Stages)
    straight_frames: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    frames: int = 0

    def bare(self, threads: int) -> int:
        """Straight-line loops side by side."""
        with self.models.lease("") as detectors, ThreadPoolExecutor(threads) as pool:
            loops = [Straight(detectors, self.limits) for _ in range(self.clips)]
            looked_at = sum(pool.map(self._straight, loops))
        if threads == 1:
            for loop in loops:
                self.straight.add(loop.stages)
            self.straight_frames += looked_at
        return looked_at

    def _straight(self, loop: Straight) -> int:
        return loop.score(self.planner.clip, self.planner.rate_fps)

    def inference(self) -> int:
        """What the models cost, on frames that lie ready."""
        with self.models.lease("") as detectors:
            return self.stages.inference(detectors)

    def path(self) -> int:
        """What a handler calls, in as many threads as the agent has, off Kafka and Redis."""
        segments = self.planner.segments([f"path-{next(self.names)}" for _ in range(self.clips)])
        with ThreadPoolExecutor(self.fleet.settings.segments.concurrency) as pool:
            results = list(pool.map(lambda segment: self.scorer.score(segment, 0), segments))
        for result in results:
            for stage, seconds in result.seconds.items():
                self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        looked_at = sum(len(result.frames) for result in results)
        self.frames += looked_at
        return looked_at

    def agent(self) -> int:
        """Segments published, verdicts read."""
        names = [f"agent-{next(self.names)}" for _ in range(self.clips)]
        self.fleet.publish(catalogue.SEGMENTS, self.planner.segments(names))
        verdicts = [arrived.verdict for arrived in self.reader.await_contents(names).values()]
        return sum(verdict.quality.frames_analyzed for verdict in verdicts if verdict.quality is not None)

    def profile(self) -> tuple[pstats.Stats, int]:
        """Return the profile of a handler's thread that scores one clip, and the frames."""
        (segment,) = self.planner.segments([f"profile-{next(self.names)}"])
        profiler = cProfile.Profile()
        result = profiler.runcall(self.scorer.score, segment, 0)
        return pstats.Stats(profiler), len(result.frames)


@contextmanager
def workbench(fleet: Fleet, plans: Planner, clips: int) -> Iterator[Workbench]:
    """Run a segments agent, warm and assigned."""
    metrics = Metrics()
    settings = fleet.settings
    limits = ScoringLimits(detection_side=settings.segments.detection_side, max_faces=settings.segments.max_faces)
    models = LoadedModels(settings.models, metrics)
    scorer = Scorer(
        fetcher(settings.media),
        decoder_policy(settings, settings.segments.concurrency),
        models,
        limits,
        metrics,
        max_side=settings.media.max_side,
    )
    agent = Segments(settings, scorer, metrics)
    with VerdictReader(fleet) as reader, fleet.running(agent, metrics=metrics) as running:
        fleet.publish(catalogue.SEGMENTS, plans.segments(["warm-0", "warm-1"]))
        _alive(running)
        reader.await_contents(["warm-0", "warm-1"])
        (segment,) = plans.segments(["counted"])
        calls = calls_of(scorer.score(segment, 0).frames)
        with models.lease("") as detectors:
            asked = asking(segment.upload.detection_level, detectors.entries)
        stages = BareStages(plans.clip, plans.rate_fps, clips, settings.segments.concurrency, limits, asked, calls)
        stages.make_ready()
        yield Workbench(fleet, plans, models, scorer, reader, limits, stages, clips)


def _alive(running: Sequence[Running]) -> None:
    for each in running:
        if each.errors:
            raise each.errors[0]
