"""Fit the linear head of the synthetic-face detector, and measure it.

The encoder is frozen; only a weight for each of its dimensions is learnt (Ojha et al. 2023,
https://arxiv.org/abs/2302.10174), so a few hundred fakes are enough and little of a generator is learnt by heart.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.detectors import chosen_entries
from models.exceptions import ManifestError
from models.faces import FaceDetector
from models.fingerprint import preprocessing_hash
from models.fitting.cards import synthetic_card
from models.fitting.embeddings import Embeddings, Encoder
from models.fitting.faces import Group, LabelledFace, OnStep, largest, read_group, read_video, split
from models.fitting.report import FitReport, GroupCount, Rate, Robustness, Separation
from models.fitting.views import AS_SERVED, DEGRADATIONS, EQUALISED, Degradation, disturbed_view, sharpness, view
from models.graph import prepare
from models.heads import Head
from models.manifest import Entry, Manifest
from models.sources import resolve
from models.statistics import auc, balanced, calibration_error, interval, share_above, threshold_at

ENTRY = "clip_synthetic"
# Files taken of each folder: enough reals for a threshold, few enough for an hour's work on a laptop.
REALS: Mapping[str, int | None] = {"train/real_mixed": 1400, "train/real_portrait": 400, "val/real": None}
GENERATORS = ("val/fake_stylegan2", "val/fake_diffusion")
# Edited by hand, not synthetic: shown, not learnt.
OTHERS = ("val/photoshop_real", "val/photoshop_fake")
PARTS = (0.5, 0.2, 0.3)
DISTURBED_VIEWS = 4
FRAMES_A_VIDEO = 24
FOLDS = 5
# AUC across generators is flat from 1 to 100; stronger is safer on what was never seen.
REGULARISATION = 10.0
TARGET_FALSE_POSITIVES = 0.01


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted head, calibrated: its logit's sigmoid is the probability that a face is synthetic."""

    head: Head
    threshold: float
    report: FitReport


@dataclass(frozen=True, slots=True)
class Part:
    """Faces and their embeddings [faces, views, D]."""

    faces: tuple[LabelledFace, ...]
    embeddings: Embeddings

    @property
    def fake(self) -> NDArray[np.bool_]:
        """The labels [faces]."""
        return np.array([face.fake for face in self.faces])

    def at(self, places: Sequence[int]) -> "Part":
        """The faces at some places."""
        return Part(tuple(self.faces[place] for place in places), self.embeddings[list(places)])

    def of_generator(self, generator: str | None) -> "Part":
        """The reals, and the fakes of one generator or none."""
        return self.at([at for at, face in enumerate(self.faces) if not face.fake or face.group == generator])


def fit_synthetic_head(
    data: Path, weights: Path, cache: Path, *, manifest: Manifest | None = None, seed: int = 1, on_step: OnStep
) -> Fit:
    """Fit, calibrate and measure the head of the manifest entry `clip_synthetic`.

    Args:
        data: folder with `faces/` and `video/`, laid out as the constants of this module say.
        weights: cache of the models; what is missing is pulled.
        cache: folder for embeddings, so that fitting again is quick.
        manifest: the fleet's by default.
        seed: of split, disturbances and intervals.
        on_step: told how far it is.

    Raises:
        ModelError: a model cannot be had or does not load.
        FileNotFoundError: the data is not there.
        ImportError: scikit-learn is not installed (extra `fit`).
    """
    manifest = manifest or Manifest.load()
    entry = manifest.entry(ENTRY)
    finder = chosen_entries(manifest, [])[0]
    detector = FaceDetector(finder, prepare(finder, resolve(finder, weights), weights))
    groups = [read_group(data, name, detector, limit, on_step) for name, limit in REALS.items()]
    groups += [read_group(data, name, detector, None, on_step) for name in GENERATORS]
    parts = split(chain.from_iterable(group.faces for group in groups), PARTS, seed)
    with Encoder(entry, weights, cache) as encoder:
        bench = _Bench(entry, encoder, seed, on_step)
        fit, calibrate = (bench.part(part, name) for part, name in zip(parts, ("fit", "calibrate"), strict=False))
        raw = fit_logistic(fit)
        head = calibrated(raw, calibrate)
        real_scores = _scores(head, calibrate.of_generator(None).embeddings).ravel()
        threshold = round(float(_sigmoid(np.array(threshold_at(real_scores, TARGET_FALSE_POSITIVES)))), 3)
        test, served = parts[2], bench.seen(parts[2], AS_SERVED)
        report = FitReport(
            entry=entry.name,
            seed=seed,
            weights_sha256=entry.source.sha256,
            head_sha256=hashlib.sha256(head.to_bytes()).hexdigest(),
            preprocessing_hash=preprocessing_hash(entry),
            regularisation=REGULARISATION,
            views=fit.embeddings.shape[1],
            groups=tuple(_count(group, parts) for group in groups),
            across=tuple(bench.across(fit, groups, test)),
            folds=tuple(bench.folds(fit)),
            held_out=tuple(
                bench.separation(f"{generator}, {name}", head, _only(test, generator), degradation)
                for generator in GENERATORS
                for name, degradation in (("as served", AS_SERVED), ("JPEG 80", EQUALISED))
            ),
            robustness=tuple(bench.robustness(head, threshold, test)),
            calibration_error_before=_calibration_error(raw, served),
            calibration_error=_calibration_error(head, served),
            target_false_positives=TARGET_FALSE_POSITIVES,
            threshold=threshold,
            groups_served=tuple(bench.rate(name, len(faces), faces, head, threshold) for name, faces in _by_group(test))
            + tuple(
                bench.rate(name, group.files, group.faces, head, threshold)
                for name in OTHERS
                for group in [read_group(data, name, detector, None, on_step)]
            ),
            videos=tuple(
                bench.rate(path.name, group.files, group.faces, head, threshold)
                for path in sorted((data / "video").glob("*.mp4"))
                for group in [read_video(path, detector, FRAMES_A_VIDEO, on_step)]
            ),
            astronaut=bench.astronaut(head, detector),
        )
    return Fit(head, threshold, report)


def adopt(fit: Fit, models: Path) -> None:
    """Put a fitted head into service: head, report, card, and the manifest's hash and threshold.

    Args:
        models: the folder `models` of the repository.

    Raises:
        ManifestError: the manifest has not the lines to be changed.
    """
    path = models / "manifest.yaml"
    entry = Manifest.load(path).entry(ENTRY)
    if entry.head is None:
        raise ManifestError(ENTRY, "head", "there is none to be replaced")
    old_threshold = f"threshold: {entry.output.threshold}"
    text = path.read_text(encoding="utf-8")
    if text.count(entry.head.sha256) != 1 or text.count(old_threshold) != 1:
        raise ManifestError(ENTRY, "head", f"{path} must have its sha256 and `{old_threshold}` once each")
    text = text.replace(entry.head.sha256, fit.report.head_sha256)
    path.write_text(text.replace(old_threshold, f"threshold: {fit.threshold}"), encoding="utf-8")
    entry.head.path.write_bytes(fit.head.to_bytes())
    write_card(fit.report, models / "cards", Manifest.load(path).entry(ENTRY))


def write_card(report: FitReport, cards: Path, entry: Entry) -> None:
    """Write `<entry>.json` and `<entry>.md` into the folder of cards."""
    (cards / f"{entry.name}.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (cards / f"{entry.name}.md").write_text(synthetic_card(report, entry), encoding="utf-8")


def fit_logistic(part: Part) -> Head:
    """Logistic regression on all views of all faces, both classes counting alike."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - only the extra `fit` has it

    _, views, width = part.embeddings.shape
    model = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=3000)
    model.fit(part.embeddings.reshape(-1, width), part.fake.repeat(views))
    return Head(model.coef_[0].astype(np.float32), float(model.intercept_[0]))


def calibrated(head: Head, part: Part) -> Head:
    """The head scaled and shifted so that its sigmoid is a probability, at as many fakes as reals.

    Source: Platt 1999, Probabilistic Outputs for Support Vector Machines.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - only the extra `fit` has it

    model = LogisticRegression(C=np.inf, class_weight="balanced")
    model.fit(_scores(head, part.embeddings).reshape(-1, 1), part.fake.repeat(part.embeddings.shape[1]))
    slope, shift = float(model.coef_[0, 0]), float(model.intercept_[0])
    return Head((head.weight * slope).astype(np.float32), head.bias * slope + shift)


@dataclass(frozen=True, slots=True)
class _Bench:
    """Faces in, figures out."""

    entry: Entry
    encoder: Encoder
    seed: int
    on_step: OnStep

    def part(self, faces: Sequence[LabelledFace], name: str) -> Part:
        """The faces as served and disturbed."""
        spec = self.entry.input
        crops = [
            crop
            for face in faces
            for crop in (
                view(face, spec, AS_SERVED),
                *(disturbed_view(face, spec, seed=self.seed, number=at) for at in range(DISTURBED_VIEWS)),
            )
        ]
        embeddings = self.encoder.embed(crops, name, self.on_step)
        return Part(tuple(faces), embeddings.reshape(len(faces), 1 + DISTURBED_VIEWS, -1))

    def seen(self, faces: Iterable[LabelledFace], degradation: Degradation) -> Part:
        """The faces in one view."""
        faces = tuple(faces)
        crops = [view(face, self.entry.input, degradation) for face in faces]
        return Part(faces, self.encoder.embed(crops, "to test", self.on_step)[:, None])

    def separation(self, name: str, head: Head, faces: Iterable[LabelledFace], degradation: Degradation) -> Separation:
        part = self.seen(faces, degradation)
        return self._separation(name, part, _scores(head, part.embeddings)[:, 0], degradation)

    def _separation(self, name: str, part: Part, scores: NDArray[np.float32], degradation: Degradation) -> Separation:
        fake = part.fake
        sides = np.array([face.side for face in part.faces])
        sharp = np.array([sharpness(view(face, self.entry.input, degradation)) for face in part.faces])
        low, high = interval(auc, scores[~fake], scores[fake], seed=self.seed)
        return Separation(
            name=name,
            reals=int((~fake).sum()),
            fakes=int(fake.sum()),
            auc=auc(scores[~fake], scores[fake]),
            low=low,
            high=high,
            size_auc=_either_way(auc(sides[~fake], sides[fake])),
            sharpness_auc=_either_way(auc(sharp[~fake], sharp[fake])),
        )

    def across(self, fit: Part, groups: Iterable[Group], test: Sequence[LabelledFace]) -> Iterable[Separation]:
        """Fit on one generator, test on all of the other; the reals of fit and test are different files."""
        reals = [face for face in test if not face.fake]
        faces = {group.name: group.faces for group in groups}
        for known, unknown in (GENERATORS, GENERATORS[::-1]):
            head = fit_logistic(fit.of_generator(known))
            for name, degradation in (("as served", AS_SERVED), ("JPEG 80", EQUALISED)):
                title = f"{known} → {unknown}, {name}"
                yield self.separation(title, head, [*reals, *faces[unknown]], degradation)

    def folds(self, fit: Part) -> Iterable[Separation]:
        """Each generator against the reals of the fitting part, each file scored by a head that never saw it."""
        for generator in GENERATORS:
            part = fit.of_generator(generator)
            fold = np.random.default_rng(self.seed).permutation(len(part.faces)) % FOLDS
            scores = np.empty(len(part.faces), np.float32)
            for at in range(FOLDS):
                head = fit_logistic(part.at(np.flatnonzero(fold != at).tolist()))
                scores[fold == at] = _scores(head, part.embeddings[fold == at, 0])
            yield self._separation(f"{generator}, {FOLDS} folds", part, scores, AS_SERVED)

    def robustness(self, head: Head, threshold: float, test: Sequence[LabelledFace]) -> Iterable[Robustness]:
        for name, degradation in DEGRADATIONS.items():
            part = self.seen(test, degradation)
            scores = _sigmoid(_scores(head, part.embeddings)[:, 0])
            real, fake = scores[~part.fake], scores[part.fake]
            yield Robustness(
                name=name,
                auc=auc(real, fake),
                false_positives=share_above(real, threshold),
                true_positives=share_above(fake, threshold),
            )

    def rate(self, name: str, frames: int, faces: Sequence[LabelledFace], head: Head, threshold: float) -> Rate:
        scores = _sigmoid(_scores(head, self.seen(faces, AS_SERVED).embeddings)[:, 0])
        return Rate(
            name=name,
            fake=faces[0].fake,
            frames=frames,
            faces=len(faces),
            above_threshold=share_above(scores, threshold),
            median=float(np.median(scores)),
        )

    def astronaut(self, head: Head, detector: FaceDetector) -> float | None:
        """Probability of the photograph that the demo uses."""
        try:
            from skimage.data import astronaut  # noqa: PLC0415 - only the extra `demo` has it
        except ImportError:
            return None
        photograph = np.asarray(astronaut(), np.uint8)  # type: ignore[no-untyped-call]
        face = largest("skimage", "astronaut", photograph, detector, fake=False)
        if face is None:
            return None
        return float(_sigmoid(_scores(head, self.seen([face], AS_SERVED).embeddings))[0, 0])


def _scores(head: Head, embeddings: Embeddings) -> NDArray[np.float32]:
    """Logits of embeddings [..., D]."""
    return np.asarray(embeddings @ head.weight + np.float32(head.bias), np.float32)


def _sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))))


def _either_way(area: float) -> float:
    return max(area, 1 - area)


def _calibration_error(head: Head, part: Part) -> float:
    return calibration_error(_sigmoid(_scores(head, part.embeddings)[:, 0]), part.fake, balanced(part.fake))


def _only(faces: Iterable[LabelledFace], generator: str) -> list[LabelledFace]:
    return [face for face in faces if not face.fake or face.group == generator]


def _by_group(faces: Iterable[LabelledFace]) -> Iterable[tuple[str, list[LabelledFace]]]:
    groups: dict[str, list[LabelledFace]] = {}
    for face in faces:
        groups.setdefault(face.group, []).append(face)
    return groups.items()


def _count(group: Group, parts: Sequence[Sequence[LabelledFace]]) -> GroupCount:
    fit, calibrate, test = (sum(face.group == group.name for face in part) for part in parts)
    return GroupCount(
        name=group.name,
        files=group.files,
        faces=len(group.faces),
        fit=fit,
        calibrate=calibrate,
        test=test,
        median_side_px=float(np.median([face.side for face in group.faces])),
    )
