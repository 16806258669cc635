import hashlib
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from models.exceptions import ManifestError
from models.faces import Face, FaceDetector
from models.fit_head import ENTRY, GENERATORS, REALS, Fit, adopt
from models.fitting.bench import Bench
from models.fitting.cards import face_card, synthetic_card
from models.fitting.embeddings import Encoder
from models.fitting.faces import LabelledFace, read_group, read_video, split
from models.fitting.layers import BLOCKS, EVERY, layer_name, try_layers
from models.fitting.probe import Part, calibrated, fit_logistic, scores_of, sigmoid, weights_by_sharpness
from models.fitting.report import FaceReport, FitReport, OperatingPoint
from models.fitting.views import DEGRADATIONS, Degradation, degrade, disturbed_view, view
from models.graph import prepare
from models.heads import Head, load_head
from models.inference.session import Session
from models.manifest import MANIFEST, InputSpec, Manifest, TokensSpec
from models.sources import default_cache, resolve
from models.statistics import auc, balanced, calibration_error, interval, matched, share_above, threshold_at
from tests.support.tiny_models import entry, write_brightness

CARDS = MANIFEST.parent / "cards"
RANDOM = np.random.default_rng(9)


def silent(step: str, done: int, total: int) -> None:
    pass


def labelled(name: str, *, fake: bool = False, level: int = 128) -> LabelledFace:
    noise = np.random.default_rng(len(name)).integers(-20, 20, (80, 80, 3))
    image = (level + noise).clip(0, 255).astype(np.uint8)
    return LabelledFace("group", name, fake, image, Face((10, 10, 60, 70), 0.9, np.zeros((5, 2), np.float32)))


def slow_auc(real: NDArray[np.float64], fake: NDArray[np.float64]) -> float:
    return float(np.mean([(f > r) + (f == r) / 2 for f in fake for r in real]))


def test_auc_is_the_chance_that_a_fake_scores_above_a_real() -> None:
    assert auc(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1
    for _ in range(5):
        real, fake = RANDOM.integers(0, 9, 30).astype(float), RANDOM.integers(2, 12, 20).astype(float)
        assert auc(real, fake) == pytest.approx(slow_auc(real, fake))


def test_an_interval_holds_its_statistic_and_is_the_same_for_the_same_seed() -> None:
    real, fake = RANDOM.normal(0, 1, 100), RANDOM.normal(1, 1, 100)
    low, high = interval(auc, real, fake, seed=1, rounds=200)
    assert low < auc(real, fake) < high
    assert interval(auc, real, fake, seed=1, rounds=200) == (low, high)


def test_calibration_error_is_the_gap_between_said_and_seen() -> None:
    fake = np.array([True, False, True, False])
    assert calibration_error(np.array([0.95, 0.05, 0.95, 0.05]), fake, balanced(fake)) == pytest.approx(0.05)
    assert calibration_error(np.array([0.0, 1.0, 0.0, 1.0]), fake, balanced(fake)) == 1


def test_a_threshold_keeps_its_false_positive_rate() -> None:
    real = RANDOM.normal(size=500)
    threshold = threshold_at(real, 0.01)
    assert share_above(real, threshold) == pytest.approx(0.01)
    assert threshold_at(real, 0.0) > real.max()


def test_a_file_is_always_in_the_same_part() -> None:
    faces = [labelled(f"{number}.jpg") for number in range(400)]
    parts = split(faces, (0.5, 0.2, 0.3), seed=1)
    names = [{face.name for face in part} for part in parts]
    assert sum(map(len, names)) == 400
    assert not any(one & other for one, other in combinations(names, 2))
    assert [len(part) / 400 for part in parts] == pytest.approx([0.5, 0.2, 0.3], abs=0.08)
    fewer = split(faces[:50], (0.5, 0.2, 0.3), seed=1)
    assert all({face.name for face in few} <= name for few, name in zip(fewer, names, strict=True))


@pytest.mark.parametrize("degradation", DEGRADATIONS.values(), ids=DEGRADATIONS.keys())
def test_a_degraded_face_is_still_that_face(degradation: Degradation) -> None:
    crop = view(labelled("a"), InputSpec(size=64), Degradation())
    degraded = degrade(crop, degradation)
    assert degraded.shape == crop.shape
    assert degraded.dtype == np.uint8
    assert np.abs(degraded.astype(float).mean((0, 1)) - crop.mean((0, 1))).max() < 6


def test_a_disturbed_view_depends_on_face_seed_and_number_only() -> None:
    spec = InputSpec(size=64)
    view_of_a, again = (disturbed_view(labelled("a"), spec, seed=1, number=0) for _ in range(2))
    np.testing.assert_array_equal(view_of_a, again)
    others = [
        disturbed_view(labelled(n), spec, seed=s, number=k) for n, s, k in (("a", 2, 0), ("a", 1, 1), ("bb", 1, 0))
    ]
    assert all((other != view_of_a).any() for other in others)
    as_fake = disturbed_view(labelled("a", fake=True), spec, seed=1, number=0)
    np.testing.assert_array_equal(as_fake, view_of_a)


def separable(count: int, apart: float) -> Part:
    """Faces whose unit embeddings lie around two directions."""
    fake = np.arange(count) % 2 == 1
    centres = np.zeros((count, 1, 16))
    centres[fake, :, 0], centres[~fake, :, 1] = apart, apart
    embeddings = centres + RANDOM.normal(size=(count, 3, 16))
    embeddings /= np.linalg.norm(embeddings, axis=2, keepdims=True)
    faces = tuple(labelled(str(at), fake=bool(label)) for at, label in enumerate(fake))
    return Part(faces, embeddings.astype(np.float32), np.ones((count, 3)))


def test_a_fitted_head_grows_with_fake_and_is_calibrated() -> None:
    fit, rest, test = separable(400, 3), separable(200, 3), separable(400, 3)
    head = calibrated(fit_logistic(fit), rest)
    logits = scores_of(head, test.embeddings)[:, 0]
    assert auc(logits[~test.fake], logits[test.fake]) > 0.95
    assert calibration_error(sigmoid(logits), test.fake, balanced(test.fake)) < 0.06


def test_the_scale_of_a_dimension_changes_no_score() -> None:
    fit = separable(200, 3)
    scale = np.logspace(-2, 2, 16, dtype=np.float32)
    scores = scores_of(fit_logistic(fit), fit.embeddings)
    scaled = replace(fit, embeddings=fit.embeddings * scale)
    np.testing.assert_allclose(scores_of(fit_logistic(scaled), scaled.embeddings), scores, atol=0.01)


def test_the_layer_that_tells_unseen_fakes_is_found() -> None:
    groups = ("one", "other", "real", "real")
    faces = tuple(replace(labelled(str(at), fake=at % 4 < 2), group=groups[at % 4]) for at in range(160))
    telling = EVERY.index(TokensSpec(tensor=BLOCKS[5], pooling="mean"))
    embeddings = np.random.default_rng(3).normal(size=(160, 1, len(EVERY), 8)).astype(np.float32)
    embeddings[[face.fake for face in faces], 0, telling, 0] += 4
    part = Part(faces, embeddings.reshape(160, 1, -1), np.ones((160, 1)))
    reals = part.of_generator(None)
    elsewhere = replace(reals, embeddings=np.roll(reals.embeddings, 8, axis=2))
    trials = list(try_layers(part, reals, elsewhere, ("one", "other"), EVERY[telling : telling + 2]))
    best, *_, together = trials[telling], *trials
    assert best.tokens == ("6 mean",)
    assert min(*best.auc, *best.elsewhere) > 0.95
    assert max(np.mean(each.auc) for each in trials[:-1] if each is not best) < 0.75
    assert together.tokens == ("6 mean", "6 max")
    assert min(together.auc) > 0.9


def test_sharpness_tells_nothing_of_the_label_once_weighted() -> None:
    fake = np.arange(2000) % 4 == 0
    sharpness = np.exp2(RANDOM.normal(7, 1, 2000) + fake)
    weights = weights_by_sharpness(sharpness, fake)
    assert weights.mean() == pytest.approx(1)
    means = [np.average(np.log2(sharpness[label]), weights=weights[label]) for label in (fake, ~fake)]
    assert abs(means[0] - means[1]) < 0.1
    assert weights[fake].sum() == pytest.approx(weights[~fake].sum())


def test_pairs_are_alike_and_each_is_used_once() -> None:
    real, fake = RANDOM.normal(0, 1, 200), RANDOM.normal(0.5, 1, 100)
    reals, fakes = matched(real, fake, within=0.1, seed=1)
    assert len(set(reals.tolist())) == len(set(fakes.tolist())) == len(reals) > 50
    assert np.abs(real[reals] - fake[fakes]).max() <= 0.1


def test_calibration_changes_no_order() -> None:
    fit, rest = separable(200, 2), separable(100, 2)
    raw = fit_logistic(fit)
    before, after = (scores_of(head, rest.embeddings).ravel() for head in (raw, calibrated(raw, rest)))
    np.testing.assert_array_equal(np.argsort(before, kind="stable"), np.argsort(after, kind="stable"))


def test_embeddings_are_kept_by_content(tmp_path: Path) -> None:
    model = entry(path=tmp_path / "m.onnx", sha256=write_brightness(tmp_path / "m.onnx")).model_copy()
    graph = model.model_copy(update={"output": model.output.model_copy(update={"layout": "embedding"})})
    crops = [np.full((32, 32, 3), level, np.uint8) for level in (0, 255, 0)]
    with pytest.raises(Exception, match="embedding is"):
        Encoder(graph, tmp_path, tmp_path / "cache")
    clip = Manifest.load().entry(ENTRY)
    side = clip.input.size or 0
    crops = [np.full((side, side, 3), level, np.uint8) for level in (0, 255, 0)]
    with Encoder(clip, default_cache(), tmp_path / "cache") as encoder:
        first = encoder.embed(crops, "first", silent)
    steps: list[int] = []
    with Encoder(clip, default_cache(), tmp_path / "cache") as encoder:
        again = encoder.embed(crops, "again", lambda _, done, __: steps.append(done))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[0], first[2])
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    assert steps == [1, 2, 3]


@pytest.fixture(scope="module")
def report() -> FitReport:
    return FitReport.model_validate_json((CARDS / f"{ENTRY}.json").read_text())


def test_the_manifest_serves_the_head_that_the_card_measured(manifest: Manifest, report: FitReport) -> None:
    served = manifest.entry(ENTRY)
    assert served.head is not None
    assert served.head.sha256 == report.head_sha256
    assert hashlib.sha256(served.head.path.read_bytes()).hexdigest() == report.head_sha256
    assert served.source.sha256 == report.weights_sha256
    assert served.output.threshold == report.threshold
    points = {f"{point.target_false_positives:g}": point.threshold for point in report.operating_points}
    assert served.output.thresholds == points
    assert tuple(map(layer_name, served.output.tokens)) == report.tokens


def test_the_cards_say_what_was_measured(manifest: Manifest, report: FitReport) -> None:
    assert (CARDS / f"{ENTRY}.md").read_text() == synthetic_card(report, manifest.entry(ENTRY))
    faces = FaceReport.model_validate_json((CARDS / "centerface.json").read_text())
    assert (CARDS / "centerface.md").read_text() == face_card(faces, manifest.entry("centerface"))


def test_adopting_a_fit_changes_head_hash_threshold_and_card(tmp_path: Path, report: FitReport) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "cards").mkdir()
    (tmp_path / "manifest.yaml").write_text(MANIFEST.read_text())
    head = Head(np.ones(512, np.float32), 0.5)
    sha256 = hashlib.sha256(head.to_bytes()).hexdigest()
    points = [
        OperatingPoint(target_false_positives=target, threshold=point, false_positives=0, true_positives=1)
        for target, point in ((0.005, 0.5), (0.05, 0.321))
    ]
    update = {"head_sha256": sha256, "threshold": 0.321, "operating_points": tuple(points)}
    fitted = Fit(head, 0.321, report.model_copy(update=update))
    adopt(fitted, tmp_path)
    before = {each.name: each for each in Manifest.load().entries if each.name != ENTRY}
    manifest = Manifest.load(tmp_path / "manifest.yaml")
    assert {name: manifest.entry(name).output for name in before} == {n: each.output for n, each in before.items()}
    changed = manifest.entry(ENTRY)
    assert changed.output.threshold == 0.321
    assert changed.output.thresholds == {"0.005": 0.5, "0.05": 0.321}
    assert changed.head is not None
    assert load_head(ENTRY, changed.head).bias == 0.5
    assert "0.321" in (tmp_path / "cards" / f"{ENTRY}.md").read_text()
    (tmp_path / "manifest.yaml").write_text(MANIFEST.read_text().replace("threshold: ", "threshold:  "))
    with pytest.raises(ManifestError, match="to be replaced"):
        adopt(fitted, tmp_path)


@pytest.fixture(scope="module")
def synthetic(manifest: Manifest) -> Session:
    model = manifest.entry(ENTRY)
    return Session(model, prepare(model, resolve(model, default_cache()), default_cache()), threads=2)


def logits_of(faces: tuple[LabelledFace, ...], session: Session) -> NDArray[np.float32]:
    return session.run(np.stack([view(face, session.entry.input, Degradation()) for face in faces]))


def test_a_photograph_is_not_called_synthetic(detector: FaceDetector, synthetic: Session) -> None:
    photograph = np.asarray(astronaut(), np.uint8)  # type: ignore[no-untyped-call]
    face = detector.detect([photograph])[0][0]
    shown = LabelledFace("", "astronaut", False, photograph, face)
    assert sigmoid(logits_of((shown,), synthetic))[0] < synthetic.entry.output.threshold


@pytest.mark.data
def test_the_heads_direction_is_fake(data: Path, detector: FaceDetector, synthetic: Session) -> None:
    real = logits_of(read_group(data, "val/real", detector, 20, silent).faces, synthetic)
    for generator in GENERATORS:
        fake = logits_of(read_group(data, generator, detector, 20, silent).faces, synthetic)
        assert np.median(real) < 0 < np.median(fake)
        assert auc(real, fake) > 0.9


@pytest.mark.data
def test_faces_of_a_video_are_found_all_over_it(data: Path, detector: FaceDetector) -> None:
    group = read_video(data / "video" / "real_single_face.mp4", detector, 5, silent)
    assert group.files == 5
    numbers = [int(face.name.partition("#")[2]) for face in group.faces]
    assert numbers[0] == 0
    assert numbers == sorted(numbers)


@pytest.mark.data
def test_a_bench_measures_beside_the_shortcuts(
    data: Path, detector: FaceDetector, manifest: Manifest, tmp_path: Path
) -> None:
    groups = [read_group(data, name, detector, 6, silent) for name in (*REALS[1:], *GENERATORS)]
    faces = [face for group in groups for face in group.faces]
    with Encoder(manifest.entry(ENTRY), default_cache(), tmp_path) as encoder:
        bench = Bench(manifest.entry(ENTRY), encoder, GENERATORS, 1, silent)
        part = bench.part(faces, Degradation())
        across = list(bench.across(part, faces, [face for face in faces if not face.fake]))
        assert [each.name.partition(",")[0] for each in across[::4]] == [
            f"{one} → {other}" for one, other in (GENERATORS, GENERATORS[::-1])
        ]
        assert all(0.5 <= each.size_auc <= 1 and 0 <= each.low <= each.auc <= each.high <= 1 for each in across)
