"""Fit the linear head of the synthetic-face detector, and measure it.

The encoder is frozen; only a weight for each of its dimensions is learnt (Ojha et al. 2023,
https://arxiv.org/abs/2302.10174), so a few hundred fakes are enough and little of a generator is learnt by heart.
Which of the encoder's layers it looks at says the manifest; `models.fitting.layers` tries them all.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil
from pathlib import Path

import numpy as np

from models.detectors import chosen_entries
from models.exceptions import ManifestError
from models.faces import FaceDetector
from models.fingerprint import preprocessing_hash
from models.fitting.bench import PORTRAITS, Bench, calibration_error_of
from models.fitting.cards import synthetic_card
from models.fitting.embeddings import Encoder
from models.fitting.faces import Group, LabelledFace, OnStep, read_group, read_video, split
from models.fitting.layers import layer_name, some_of_each, try_layers, with_every_layer
from models.fitting.probe import REGULARISATION, calibrated, fit_logistic, scores_of, sigmoid
from models.fitting.report import FitReport, GroupCount, LayerTrial, OperatingPoint, Speed
from models.fitting.speed import machine, thread_counts
from models.fitting.views import AS_SERVED, EQUALISED
from models.graph import prepare
from models.heads import Head
from models.manifest import Entry, Manifest
from models.sources import resolve
from models.statistics import share_above, threshold_at

ENTRY = "clip_synthetic"
REALS = ("train/real_mixed", "train/real_portrait", "val/real", "val/photoshop_real")
GENERATORS = ("val/fake_stylegan2", "val/fake_diffusion")
# Edited by hand, not synthetic: shown, not learnt.
OTHERS = ("val/photoshop_fake",)
PARTS = (0.5, 0.2, 0.3)
FRAMES_A_VIDEO = 24
# Views of each face that the head is fitted on, beside the one that is served.
DISTURBED_VIEWS = 1
TARGET_FALSE_POSITIVES = 0.005
TARGETS = (0.001, TARGET_FALSE_POSITIVES, 0.01, 0.05)


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted head, calibrated: its logit's sigmoid is the probability that a face is synthetic."""

    head: Head
    threshold: float
    report: FitReport


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
    groups = [read_group(data, name, detector, None, on_step) for name in (*REALS, *GENERATORS)]
    parts = split(chain.from_iterable(group.faces for group in groups), PARTS, seed)
    videos = [read_video(path, detector, FRAMES_A_VIDEO, on_step) for path in sorted((data / "video").glob("*.mp4"))]
    elsewhere = [face for video in videos for face in video.faces if not face.fake]
    layers, whole_speed = _tried_layers(entry, weights, cache, parts, elsewhere, seed, on_step)
    with Encoder(entry, weights, cache) as encoder:
        bench = Bench(entry, encoder, GENERATORS, seed, on_step)
        fit = bench.part(parts[0], AS_SERVED, disturbed=DISTURBED_VIEWS)
        calibrate = bench.part(parts[1], AS_SERVED, EQUALISED)
        raw = fit_logistic(fit)
        head = calibrated(raw, calibrate)
        real_scores = scores_of(head, calibrate.of_generator(None).embeddings).ravel()
        thresholds = {target: _probability(threshold_at(real_scores, target)) for target in TARGETS}
        threshold = thresholds[TARGET_FALSE_POSITIVES]
        test, served = parts[2], bench.part(parts[2], AS_SERVED)
        probabilities = sigmoid(scores_of(head, served.embeddings)[:, 0])
        report = FitReport(
            entry=entry.name,
            seed=seed,
            weights_sha256=entry.source.sha256,
            head_sha256=hashlib.sha256(head.to_bytes()).hexdigest(),
            preprocessing_hash=preprocessing_hash(entry),
            regularisation=REGULARISATION,
            views=fit.embeddings.shape[1],
            groups=tuple(_count(group, parts) for group in groups),
            generators=GENERATORS,
            tokens=tuple(map(layer_name, entry.output.tokens)),
            layers=layers,
            across=tuple(bench.across(fit, [*(face for face in parts[1] if face.fake), *test], elsewhere)),
            folds=tuple(bench.folds(fit)),
            held_out=tuple(
                bench.separation(f"{generator}, {name}", head, _only(test, generator, reals), degradation)
                for generator in GENERATORS
                for name, degradation, reals in (
                    ("as served", AS_SERVED, REALS),
                    ("JPEG 80", EQUALISED, REALS),
                    ("portraits only", AS_SERVED, (PORTRAITS,)),
                )
            ),
            robustness=tuple(bench.robustness(head, threshold, test)),
            calibration_error_before=calibration_error_of(raw, served),
            calibration_error=calibration_error_of(head, served),
            target_false_positives=TARGET_FALSE_POSITIVES,
            threshold=threshold,
            operating_points=tuple(
                OperatingPoint(
                    target_false_positives=target,
                    threshold=point,
                    false_positives=share_above(probabilities[~served.fake], point),
                    true_positives=share_above(probabilities[served.fake], point),
                )
                for target, point in thresholds.items()
            ),
            groups_served=tuple(bench.rate(name, len(faces), faces, head, threshold) for name, faces in _by_group(test))
            + tuple(
                bench.rate(name, group.files, group.faces, head, threshold)
                for name in OTHERS
                for group in [read_group(data, name, detector, None, on_step)]
            ),
            videos=tuple(bench.rate(group.name, group.files, group.faces, head, threshold) for group in videos),
            astronaut=bench.astronaut(head, detector),
            machine=machine(),
            speed=_speeds(encoder),
            whole_speed=whole_speed,
        )
    return Fit(head, threshold, report)


def _tried_layers(
    entry: Entry,
    weights: Path,
    cache: Path,
    parts: Sequence[Sequence[LabelledFace]],
    elsewhere: Sequence[LabelledFace],
    seed: int,
    on_step: OnStep,
) -> tuple[tuple[LayerTrial, ...], tuple[Speed, ...]]:
    """What each layer knows of generators that it was not fitted on, and how long all layers take."""
    every = with_every_layer(entry)
    with Encoder(every, weights, cache) as encoder:
        bench = Bench(every, encoder, GENERATORS, seed, on_step)
        fit = bench.part(some_of_each(parts[0]), AS_SERVED)
        reals = bench.part(some_of_each(face for face in parts[1] if not face.fake), AS_SERVED)
        others = bench.part(elsewhere, AS_SERVED)
        return tuple(try_layers(fit, reals, others, GENERATORS, entry.output.tokens)), _speeds(encoder)


def _speeds(encoder: Encoder) -> tuple[Speed, ...]:
    return tuple(
        Speed(threads=threads, items=1, ms_an_item=encoder.seconds(threads) * 1000) for threads in thread_counts()
    )


def adopt(fit: Fit, models: Path) -> None:
    """Put a fitted head into service: head, report, card, and the manifest's hash and thresholds.

    Args:
        models: the folder `models` of the repository.

    Raises:
        ManifestError: the manifest has not the lines to be changed.
    """
    path = models / "manifest.yaml"
    entry = Manifest.load(path).entry(ENTRY)
    if entry.head is None:
        raise ManifestError(ENTRY, "head", "there is none to be replaced")
    thresholds = {f"{p.target_false_positives:g}": p.threshold for p in fit.report.operating_points}
    before, name, block = path.read_text(encoding="utf-8").partition(f"name: {ENTRY}\n")
    block, following, rest = block.partition("\n  - name: ")
    for old, new in (
        (r"(?<=\bthreshold: )[\d.]+", str(fit.threshold)),
        (r"(?<=\bthresholds: )\{[^}]*\}", json.dumps(thresholds)),
        (re.escape(entry.head.sha256), fit.report.head_sha256),
    ):
        block, replaced = re.subn(old, new, block, count=1)
        if not replaced:
            raise ManifestError(ENTRY, "head", f"{path} has no `{old}` to be replaced")
    path.write_text(before + name + block + following + rest, encoding="utf-8")
    entry.head.path.write_bytes(fit.head.to_bytes())
    write_card(fit.report, models / "cards", Manifest.load(path).entry(ENTRY))


def write_card(report: FitReport, cards: Path, entry: Entry) -> None:
    """Write `<entry>.json` and `<entry>.md` into the folder of cards."""
    (cards / f"{entry.name}.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (cards / f"{entry.name}.md").write_text(synthetic_card(report, entry), encoding="utf-8")


def _probability(logit: float) -> float:
    """Probability of a logit to four digits, rounded up so that what was below stays below."""
    return ceil(float(sigmoid(np.array(logit))) * 10_000) / 10_000


def _only(faces: Iterable[LabelledFace], generator: str, reals: Sequence[str]) -> list[LabelledFace]:
    return [face for face in faces if face.group in {generator, *reals}]


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
