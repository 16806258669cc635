"""The models that a segment is scored with, together."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import Self

from models.exceptions import ManifestError
from models.faces import FaceDetector
from models.fingerprint import model_set_fingerprint
from models.inference.batcher import OnBatch
from models.loading import Detector, Loader, LoadOptions
from models.manifest import Entry, Manifest, Role
from models.sources import OnProgress

__all__ = ["Detector", "DetectorSet", "LoadOptions", "chosen_entries"]


class DetectorSet:
    """The face detector and the detectors of a worker, or of one segment that it scores.

    Attributes:
        faces: finds the faces.
        detectors: by entry name, in the order asked for.
        entries: all entries loaded, the face detector's first.
        fingerprint: of the whole set, see `model_set_fingerprint`.
        versions: by entry name, `version+sha256 of the weights`.
    """

    def __init__(self, faces: FaceDetector, detectors: Iterable[Detector], fusion: str | None = None) -> None:
        self.faces = faces
        self.detectors: Mapping[str, Detector] = MappingProxyType({each.entry.name: each for each in detectors})
        self.entries = (faces.entry, *(each.entry for each in self.detectors.values()))
        self.fingerprint = model_set_fingerprint(self.entries, fusion)
        self.versions = {entry.name: f"{entry.version}+{entry.source.sha256}" for entry in self.entries}

    @classmethod
    def load(
        cls,
        manifest: Manifest,
        options: LoadOptions,
        *,
        names: Iterable[str] | None = None,
        on_batch: OnBatch | None = None,
        on_progress: OnProgress | None = None,
    ) -> Self:
        """Open exactly the models asked for: what is measured must not be something that stands in for it.

        Args:
            manifest: where the entries are looked up.
            options: how to load them.
            names: entries asked for; without a face detector among them, the manifest's first is taken.
                By default those of `Manifest.chosen`.
            on_batch: called after each batch of any detector, in its batcher's thread.
            on_progress: called while weights are fetched.

        Raises:
            ModelError: of any kind; nothing is left running.
        """
        loader = Loader(manifest, options, on_batch=on_batch, on_progress=on_progress)
        finder, *others = chosen_entries(manifest, names)
        with ExitStack() as undo:
            opened = []
            for entry in (finder, *others):
                model = loader.exactly(entry)
                undo.callback(model.close)
                opened.append(model)
            undo.pop_all()
        faces, detectors = _apart(opened)
        return cls(faces, detectors, None if manifest.fusion is None else manifest.fusion.sha256)

    @classmethod
    def of(cls, models: Iterable[FaceDetector | Detector], fusion: str | None) -> Self:
        """A set of models that are loaded, one face detector among them."""
        faces, detectors = _apart(models)
        return cls(faces, detectors, fusion)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def of_role(self, role: Role | str) -> tuple[Detector, ...]:
        """The loaded detectors of one role."""
        return tuple(each for each in self.detectors.values() if each.entry.role == Role(role))

    def close(self) -> None:
        """Score what was submitted, then stop."""
        for detector in self.detectors.values():
            detector.close()
        self.faces.close()


def _apart(models: Iterable[FaceDetector | Detector]) -> tuple[FaceDetector, tuple[Detector, ...]]:
    opened = tuple(models)
    (faces,) = (model for model in opened if isinstance(model, FaceDetector))
    return faces, tuple(model for model in opened if isinstance(model, Detector))


def chosen_entries(manifest: Manifest, names: Iterable[str] | None = None) -> tuple[Entry, ...]:
    """The entries that a worker loads, the face detector first.

    Raises:
        ManifestError: an unknown name, two face detectors, or none at all.
    """
    wanted = manifest.chosen() if names is None else tuple(map(manifest.entry, dict.fromkeys(names)))
    finders = [entry for entry in wanted if entry.role is Role.FACES] or list(manifest.by_role(Role.FACES)[:1])
    if len(finders) != 1:
        said = "no entry" if not finders else " and ".join(entry.name for entry in finders)
        raise ManifestError("manifest", "role", f"one face detector is needed, there is {said}")
    return (finders[0], *(entry for entry in wanted if entry.role is not Role.FACES))
