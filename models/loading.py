"""Open the models of a manifest: fetched, checked, folded, warm, and where their memory is."""

import logging
from collections.abc import Collection, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models import graph, sources
from models.crops import cut_faces
from models.exceptions import GoldenMismatch, GraphInvalid, ModelError
from models.faces import Face, FaceDetector
from models.golden import require_golden
from models.inference.admission import Admission
from models.inference.batcher import Batcher, OnBatch, Urgency
from models.inference.cpus import available_cpus
from models.inference.engines import EngineCache, read_gpu_facts
from models.inference.meter import MachineMeter
from models.inference.placing import Placed, Spot, Step, place
from models.inference.provider_options import CPU, TENSORRT, GpuUse
from models.inference.providers import AUTO, require_usable, tried
from models.inference.session import Answers, Session
from models.inference.turns import Turns
from models.inference.watchdog import DEFAULT_LIMIT_S
from models.manifest import Entry, Manifest, Role
from models.sources import OnProgress

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How models are loaded and driven.

    Attributes:
        cache: folder of weights and prepared graphs.
        offline: never fetch.
        provider: `auto`, or one of `models.inference.provider_options.PROVIDERS`.
        gpu_bytes: the most that one model may take of a GPU; 0 sets no limit.
        threads: CPU threads within one run; by default the CPUs of this process.
        max_batch: crops in a batch at most.
        max_delay_s: how long a crop waits for company.
        max_queued: crops that may wait for one model.
        batch_limit_s: how long a batch may take, seconds.
        admission: says whether there is room for a model.
    """

    cache: Path
    offline: bool = False
    provider: str = AUTO
    gpu_bytes: int = 0
    threads: int | None = None
    max_batch: int = 16
    max_delay_s: float = 0.004
    max_queued: int = 1024
    batch_limit_s: float = DEFAULT_LIMIT_S
    admission: Admission = field(default_factory=lambda: Admission(MachineMeter()))


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """One model that scores faces."""

    entry: Entry
    session: Session
    batcher: Batcher

    @property
    def provider(self) -> str:
        """What runs it."""
        return self.session.provider

    @property
    def provider_reason(self) -> str:
        """Why, and why not a faster one."""
        return self.session.provider_reason

    @property
    def size(self) -> int:
        """Side of its crops in pixels."""
        return self.session.size

    def cut(self, image: NDArray[np.uint8], faces: Iterable[Face]) -> NDArray[np.uint8]:
        """The faces of an image, uint8 RGB [H, W, 3], as this model wants them: uint8 [K, size, size, 3]."""
        return cut_faces(image, tuple(faces), self.entry.input.crop, self.session.size)

    def answers(self, crops: NDArray[np.uint8], urgency: Urgency = Urgency.INTERACTIVE) -> Future[Answers]:
        """Score crops, see `Batcher.submit`; a logit's sigmoid is the calibrated probability of "fake"."""
        return self.batcher.submit(crops, urgency)

    def close(self) -> None:
        """Score what was submitted, and give back its memory."""
        self.batcher.close()
        self.session.close()

    def abandon(self, error: ModelError) -> None:
        """End after the batch that runs; all other crops get the error."""
        self.batcher.abandon(error)
        self.session.close()


AnyModel = FaceDetector | Detector


class Loader:
    """Opens entries of one manifest.

    Args:
        manifest: where entries are looked up.
        options: how to load them.
        on_batch: called after each batch of any detector, in its batcher's thread.
        on_progress: called while weights are fetched.
    """

    def __init__(
        self,
        manifest: Manifest,
        options: LoadOptions,
        *,
        on_batch: OnBatch | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.manifest = manifest
        self.options = options
        self._on_batch = on_batch
        self._on_progress = on_progress
        # As many at once as there are CPUs: one at a time scores 6 % fewer frames a second on two, no limit as many.
        self._cpu_turns = Turns(available_cpus())
        self._gpu_turns = Turns()

    def exactly(self, entry: Entry) -> AnyModel:
        """Open this entry and nothing in its place, on the fastest provider that takes it.

        Raises:
            ModelError: it cannot be had or does not load.
        """
        return self._open(entry, self.options.provider)

    def placed(
        self, entry: Entry, full: Collection[Spot] = (), keep: Placed[AnyModel] | None = None
    ) -> Placed[AnyModel]:
        """Open an entry, or what stands in for it where memory is short, see `models.inference.placing.place`.

        Args:
            entry: the first choice.
            full: where memory ran out before.
            keep: what serves now: it is not opened again.

        Raises:
            ModelError: neither can be had.
        """
        chain = [Step(each, self.manifest.for_gpu(each)) for each in self.manifest.chain(entry)]

        def attempt(spot: Spot) -> AnyModel:
            return keep.opened if keep is not None and spot == keep.spot else self._attempt(spot)

        return place(chain, tried(self.options.provider, [entry, self.manifest.for_gpu(entry)]), attempt, full)

    def _attempt(self, spot: Spot) -> AnyModel:
        require_usable(spot.entry, spot.provider)
        self.options.admission.require(spot.entry, spot.provider)
        return self._open(spot.entry, spot.provider)

    def _open(self, entry: Entry, provider: str) -> AnyModel:
        require_golden(entry)
        options = self.options
        weights = sources.resolve(entry, options.cache, offline=options.offline, on_progress=self._on_progress)
        prepared = graph.prepare(entry, weights, options.cache)
        facts = read_gpu_facts() if provider == TENSORRT else None
        if facts is None:
            return self._opened(entry, prepared, provider, None)
        return self._with_engines(entry, prepared, EngineCache(options.cache / "engines", facts))

    def _with_engines(self, entry: Entry, prepared: Path, cache: EngineCache) -> AnyModel:
        """Open an entry on TensorRT; its engines are held until it is warm, since then they are built and whole."""
        warm = False
        try:
            with cache.folder(entry, prepared) as engines:
                warm = engines.warm
                return self._opened(entry, prepared, TENSORRT, engines.path)
        except (GraphInvalid, GoldenMismatch) as error:
            if not warm:
                raise
            _log.warning("%s: its kept TensorRT engines do not serve, and are built anew: %s", entry.name, error)
        with cache.folder(entry, prepared) as engines:
            return self._opened(entry, prepared, TENSORRT, engines.path)

    def _opened(self, entry: Entry, prepared: Path, provider: str, engines: Path | None) -> AnyModel:
        options = self.options
        threads, limit_s = options.threads, options.batch_limit_s
        turns = None if provider == AUTO else self._cpu_turns if provider == CPU else self._gpu_turns
        if entry.role is Role.FACES:
            use = GpuUse(options.gpu_bytes, engines)
            return FaceDetector(
                entry, prepared, provider=provider, threads=threads, limit_s=limit_s, turns=turns, use=use
            )
        use = GpuUse(options.gpu_bytes, engines, graphs=True)
        session = Session(entry, prepared, provider=provider, threads=threads, limit_s=limit_s, turns=turns, use=use)
        batcher = Batcher(
            session,
            # Waiting to fill more than the model runs at once would gain nothing.
            max_batch=min(options.max_batch, entry.buckets[-1]),
            max_delay_s=options.max_delay_s,
            max_queued=options.max_queued,
            on_batch=self._on_batch,
        )
        return Detector(entry, session, batcher)


def why(placed: Placed[AnyModel]) -> str:
    """Return why a model runs where it runs, and why nothing better does, in words."""
    return "; ".join([placed.opened.provider_reason, *placed.passed_over])
