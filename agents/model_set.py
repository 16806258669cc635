"""The models that the settings ask for: chosen for planning, and loaded for scoring."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager

from agents.models_used import ModelUsed, models_of
from agents.runtime.metrics import Metrics
from agents.settings import ModelSettings
from models.detectors import DetectorSet, chosen_entries
from models.faces import FaceDetector
from models.fusion_weights import NOTHING_LEARNT, FusionTable, load_fusion
from models.graph import prepare
from models.inference.admission import MIB, Admission
from models.inference.batcher import BatchStats
from models.inference.meter import MachineMeter
from models.loading import Loader, LoadOptions
from models.manifest import MANIFEST, Entry, Manifest, Role
from models.selection import Selection
from models.serving import Serving
from models.sources import OnProgress, resolve

_log = logging.getLogger(__name__)


def manifest(models: ModelSettings) -> Manifest:
    """Return the manifest in use.

    Raises:
        ManifestError: it cannot be used; entry and field are named.
    """
    return Manifest.load(models.manifest or MANIFEST)


def chosen(models: ModelSettings) -> Sequence[Entry]:
    """Return the entries to load: the face detector, and those that serve the roles asked for.

    Raises:
        ManifestError: the manifest cannot be used.
    """
    return manifest(models).chosen((Role.FACES, *models.roles))


def face_detector(models: ModelSettings) -> FaceDetector:
    """Return the face detector of the manifest in use, loaded, for commands that need no other model.

    Raises:
        ModelError: it cannot be had or does not load.
    """
    finder = chosen_entries(manifest(models), [])[0]
    weights = resolve(finder, models.cache, offline=models.offline)
    return FaceDetector(finder, prepare(finder, weights, models.cache))


def selection(models: ModelSettings) -> Selection:
    """Return which models the settings ask for, by role.

    Raises:
        ManifestError: the manifest cannot be used.
    """
    return Selection.preferred(manifest(models), models.roles)


class LoadedModels:
    """The models of a worker, from `open` to `close`. Thread-safe between them.

    Args:
        settings: which, and where they run.
        metrics: told of batches, and of what runs where.
        on_progress: called while weights are fetched.
    """

    def __init__(self, settings: ModelSettings, metrics: Metrics, on_progress: OnProgress | None = None) -> None:
        self._settings = settings
        self._metrics = metrics
        self._on_progress = on_progress
        self._serving: Serving | None = None
        self._fusion = NOTHING_LEARNT

    def open(self, wanted: Selection | None = None) -> None:
        """Fetch, verify, load and warm up.

        Args:
            wanted: what to load; by default what the settings ask for.

        Raises:
            ModelError: a model cannot be had or does not load.
        """
        settings = self._settings
        options = LoadOptions(
            cache=settings.cache,
            offline=settings.offline,
            provider=settings.provider,
            gpu_bytes=settings.gpu_memory_mib * MIB,
            threads=settings.threads or None,
            max_delay_s=settings.batch_delay_ms / 1000,
            batch_limit_s=settings.batch_limit_s,
            admission=Admission(MachineMeter(), settings.memory_reserve_mib * MIB),
        )
        wanted = wanted or selection(settings)
        self._fusion = load_fusion(wanted.manifest.fusion, wanted.manifest.entries)
        loader = Loader(wanted.manifest, options, on_batch=self._on_batch, on_progress=self._on_progress)
        serving = Serving(loader, wanted, on_change=self._on_change)
        self._serving = serving
        serving.open()

    @property
    def serving(self) -> Serving:
        """The models, to be changed."""
        if self._serving is None:
            raise RuntimeError("the models are not loaded")
        return self._serving

    @property
    def fusion(self) -> FusionTable:
        """How detectors are fused, of all models of the manifest."""
        return self._fusion

    def lease(self, media_id: str) -> AbstractContextManager[DetectorSet]:
        """Give the models that judge one media.

        Raises:
            NoRoom: on entering, memory is short of all that could serve.
        """
        return self.serving.lease(media_id)

    def used(self, detectors: DetectorSet) -> tuple[ModelUsed, ...]:
        """Return what a verdict has to say of a set."""
        return models_of(detectors, {each.entry.name: each.reason for each in self.serving.served if each.entry})

    def _on_change(self) -> None:
        self._metrics.model_provider.clear()
        self._metrics.model_stands_in.clear()
        for each in self.serving.served:
            if each.entry is None:
                _log.error("%s: nothing has room to serve: %s", each.wanted.name, each.reason)
                continue
            what = each.entry.name if each.entry is each.wanted else f"{each.entry.name} (for {each.wanted.name})"
            level = logging.WARNING if each.stands_in else logging.INFO
            _log.log(level, "%s runs on %s: %s", what, each.provider, each.reason)
            self._metrics.model_provider.labels(each.entry.name, each.entry.version, each.provider).set(1)
            self._metrics.model_stands_in.labels(each.wanted.name).set(each.stands_in)

    def measure(self) -> None:
        """Note how much memory is left where models run, and how busy a GPU is."""
        meter = self.serving.admission.meter
        for provider in {each.provider for each in self.serving.served if each.provider}:
            if (free := meter.free(provider)) is not None:
                self._metrics.memory_free.labels(provider).set(free)
            if (busy := meter.busy(provider)) is not None:
                self._metrics.gpu_busy.labels(provider).set(busy)

    def _on_batch(self, batch: BatchStats) -> None:
        self._metrics.inference_batch.labels(batch.model).observe(batch.crops)
        self._metrics.inference_wait_seconds.labels(batch.model).observe(batch.wait_s)
        self._metrics.inference_run_seconds.labels(batch.model).observe(batch.run_s)

    def close(self) -> None:
        """Let go of the models."""
        if self._serving is not None:
            self._serving.close()
