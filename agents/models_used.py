"""Which models scored a segment, with what a verdict has to say of them: whoever joins segments may have others."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from models.detectors import DetectorSet
from models.fingerprint import preprocessing_hash
from models.fusion import DetectorFacts
from models.loading import AnyModel
from models.manifest import Role
from schemas.verdict import ModelVersion


@dataclass(frozen=True, slots=True)
class ModelUsed:
    """One model that took part. Travels through Redis as JSON."""

    name: str
    role: str
    version: str
    sha256: str
    """Of its weights."""
    provider: str
    provider_reason: str
    preprocessing: str
    """Hash of what is done to a face before the model sees it."""
    threshold: float
    """Calibrated probability from which it speaks of manipulation."""
    thresholds: Mapping[str, float]
    """The same by the share of real faces that reach it."""

    @property
    def reported(self) -> ModelVersion:
        """As a verdict names it."""
        return ModelVersion(
            name=self.name,
            role=self.role,
            version=self.version,
            sha256=self.sha256,
            provider=self.provider,
            provider_reason=self.provider_reason,
        )


def models_of(detectors: DetectorSet, reasons: Mapping[str, str]) -> tuple[ModelUsed, ...]:
    """Return the models of a set, the face detector first.

    Args:
        detectors: the set.
        reasons: why each runs where it does, by entry name.
    """
    loaded: tuple[AnyModel, ...] = (detectors.faces, *detectors.detectors.values())
    return tuple(
        ModelUsed(
            name=model.entry.name,
            role=model.entry.role,
            version=model.entry.version,
            sha256=model.entry.source.sha256,
            provider=model.provider,
            provider_reason=reasons.get(model.entry.name, model.provider_reason),
            preprocessing=preprocessing_hash(model.entry),
            threshold=model.entry.output.threshold,
            thresholds=model.entry.output.thresholds,
        )
        for model in loaded
    )


def merged(of_results: Iterable[Sequence[ModelUsed]]) -> Sequence[ModelUsed]:
    """Return each model once, in the order in which they come."""
    found: list[ModelUsed] = []
    for models in of_results:
        found += [model for model in models if model not in found]
    return found


def detector_facts(models: Iterable[ModelUsed]) -> Sequence[DetectorFacts]:
    """Return what fusion needs to know of the detectors among them, each name once."""
    facts: dict[str, DetectorFacts] = {}
    for model in models:
        if model.role != Role.FACES:
            facts.setdefault(model.name, DetectorFacts(model.name, model.role, model.threshold, model.thresholds))
    return list(facts.values())
