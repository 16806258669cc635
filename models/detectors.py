"""The models of one worker, loaded, checked, warm and ready to be given frames and crops."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models import graph, sources
from models.crops import cut_faces
from models.exceptions import ManifestError
from models.faces import Face, FaceDetector
from models.fingerprint import model_set_fingerprint
from models.golden import require_golden
from models.inference.batcher import Batcher, OnBatch, Urgency
from models.inference.providers import AUTO
from models.inference.session import Answers, Session
from models.inference.watchdog import DEFAULT_LIMIT_S
from models.manifest import Entry, Manifest, Role
from models.sources import OnProgress


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How models are loaded and driven.

    Attributes:
        cache: folder of weights and prepared graphs.
        offline: never fetch.
        provider: `auto`, `cuda` or `cpu`.
        threads: CPU threads within one run; by default the CPUs of this process.
        max_batch: crops in a batch at most.
        max_delay_s: how long a crop waits for company.
        max_queued: crops that may wait for one model.
        batch_limit_s: how long a batch may take, seconds.
    """

    cache: Path
    offline: bool = False
    provider: str = AUTO
    threads: int | None = None
    max_batch: int = 16
    max_delay_s: float = 0.004
    max_queued: int = 1024
    batch_limit_s: float = DEFAULT_LIMIT_S


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """One model that scores faces."""

    entry: Entry
    session: Session
    batcher: Batcher

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


class DetectorSet:
    """The face detector and the detectors that a worker scores with.

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
        """Pull, verify, prepare and warm up models.

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
        chosen = chosen_entries(manifest, names)
        for entry in chosen:
            require_golden(entry)
        cache = options.cache
        paths = {
            entry.name: sources.resolve(entry, options.cache, offline=options.offline, on_progress=on_progress)
            for entry in chosen
        }
        graphs = {entry.name: graph.prepare(entry, paths[entry.name], cache) for entry in chosen}
        with ExitStack() as undo:
            faces = FaceDetector(
                chosen[0],
                graphs[chosen[0].name],
                provider=options.provider,
                threads=options.threads,
                limit_s=options.batch_limit_s,
            )
            detectors = []
            for entry in chosen[1:]:
                session = Session(
                    entry,
                    graphs[entry.name],
                    provider=options.provider,
                    threads=options.threads,
                    limit_s=options.batch_limit_s,
                )
                batcher = Batcher(
                    session,
                    # Waiting to fill more than the model runs at once would gain nothing.
                    max_batch=min(options.max_batch, entry.buckets[-1]),
                    max_delay_s=options.max_delay_s,
                    max_queued=options.max_queued,
                    on_batch=on_batch,
                )
                undo.callback(batcher.close)
                detectors.append(Detector(entry, session, batcher))
            undo.pop_all()
        return cls(faces, detectors, None if manifest.fusion is None else manifest.fusion.sha256)

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
            detector.batcher.close()


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
