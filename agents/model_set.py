"""The models that the settings ask for: as a fingerprint for planning, and loaded for scoring."""

import logging
from collections.abc import Mapping, Sequence

from agents.runtime.metrics import Metrics
from agents.settings import ModelSettings
from agents.verdicts import ModelFacts
from models.detectors import DetectorSet, LoadOptions, chosen_entries
from models.faces import FaceDetector
from models.fingerprint import model_set_fingerprint, preprocessing_hash
from models.fusion import DetectorFacts
from models.fusion_weights import NOTHING_LEARNT, load_fusion
from models.graph import prepare
from models.inference.batcher import BatchStats
from models.inference.session import Session
from models.manifest import MANIFEST, Entry, Manifest, Role
from models.sources import OnProgress, resolve
from schemas.verdict import ModelVersion

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


def planned_model_set(models: ModelSettings) -> str:
    """Return the fingerprint of the models that will score, without loading them.

    Raises:
        ManifestError: the manifest cannot be used.
    """
    fusion = manifest(models).fusion
    return model_set_fingerprint(chosen(models), None if fusion is None else fusion.sha256)


class LoadedModels:
    """The models of a worker, from `open` to `close`."""

    def __init__(self, settings: ModelSettings, metrics: Metrics, on_progress: OnProgress | None = None) -> None:
        self._settings = settings
        self._metrics = metrics
        self._on_progress = on_progress
        self._loaded: DetectorSet | None = None
        self._fusion = NOTHING_LEARNT

    def open(self) -> None:
        """Fetch, verify, load and warm up.

        Raises:
            ModelError: a model cannot be had or does not load.
        """
        known = manifest(self._settings)
        self._fusion = load_fusion(known.fusion, chosen(self._settings))
        self._loaded = DetectorSet.load(
            known,
            LoadOptions(
                cache=self._settings.cache,
                offline=self._settings.offline,
                provider=self._settings.provider,
                threads=self._settings.threads or None,
                max_delay_s=self._settings.batch_delay_ms / 1000,
                batch_limit_s=self._settings.batch_limit_s,
            ),
            names=[entry.name for entry in chosen(self._settings)],
            on_batch=self._on_batch,
            on_progress=self._on_progress,
        )
        for version in self.facts.versions:
            _log.info("%s runs on %s: %s", version.name, version.provider, version.provider_reason)
            self._metrics.model_provider.labels(version.name, version.version, version.provider).set(1)

    @property
    def detectors(self) -> DetectorSet:
        """The loaded models."""
        if self._loaded is None:
            raise RuntimeError("the models are not loaded")
        return self._loaded

    @property
    def facts(self) -> ModelFacts:
        """The loaded models, as verdicts report them."""
        loaded = self.detectors
        sessions: Mapping[str, FaceDetector | Session] = {loaded.faces.entry.name: loaded.faces} | {
            name: detector.session for name, detector in loaded.detectors.items()
        }
        return ModelFacts(
            versions=tuple(
                ModelVersion(
                    name=entry.name,
                    role=entry.role,
                    version=entry.version,
                    sha256=entry.source.sha256,
                    provider=sessions[entry.name].provider,
                    provider_reason=sessions[entry.name].provider_reason,
                )
                for entry in loaded.entries
            ),
            detectors=tuple(
                DetectorFacts(
                    name, detector.entry.role, detector.entry.output.threshold, detector.entry.output.thresholds
                )
                for name, detector in loaded.detectors.items()
            ),
            preprocessing={entry.name: preprocessing_hash(entry) for entry in loaded.entries},
            fusion=self._fusion,
        )

    def _on_batch(self, batch: BatchStats) -> None:
        self._metrics.inference_batch.labels(batch.model).observe(batch.crops)
        self._metrics.inference_wait_seconds.labels(batch.model).observe(batch.wait_s)
        self._metrics.inference_run_seconds.labels(batch.model).observe(batch.run_s)

    def close(self) -> None:
        """Let go of the models."""
        if self._loaded is not None:
            self._loaded.close()
