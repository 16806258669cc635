"""What kind of manipulation the evidence supports: where heat lies, what moves, and which axis speaks."""

from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from models.crops import TEMPLATE
from models.evidence import FaceEvidence, RelativeBox
from models.fusion import DetectorFacts, decide, logit
from models.heat import Heat, pack
from models.kinds import altered, kinds, telling
from models.locations import OUTLINES_OF, Confusion, Located, Location, locate
from models.policy import DEFAULT_POLICY
from models.training.blending import OUTLINES, draw_mask
from schemas.verdict import Axis, AxisScore, ManipulationKind
from tests.support.evidence import GOOD, face, frame

SIDE = 400
"""Of the frame that faces lie in, pixels."""
FACE = 140.0
"""Side of the template in it, pixels."""
BOX = (0.31, 0.27, 0.32, 0.44)
"""Around the face, as CenterFace would have it: from the brows to the chin."""
ALTERED = AxisScore(axis=Axis.MANIPULATION, score=0.9, threshold=0.5, detectors=())
GENERATED = AxisScore(axis=Axis.SYNTHETIC, score=0.6, threshold=0.5, detectors=())
PLACES = [location for location in Location if location is not Location.UNCLEAR]


def landmarks(tilt: float = 0.0) -> NDArray[np.float32]:
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    return np.asarray((TEMPLATE - 0.6) @ turn.T * FACE + SIDE / 2, np.float32)


def over_crop(mask: NDArray[np.float32], cells: int) -> Heat:
    """The part of a mask that the detector's crop shows, averaged over the cells of its map."""
    x, y, width, height = (edge * SIDE for edge in BOX)
    side = 1.3 * max(width, height)
    steps = (np.arange(cells * 16) + 0.5) / (cells * 16)
    columns = np.clip((x + width / 2 - side / 2 + steps * side).astype(int), 0, SIDE - 1)
    rows = np.clip((y + height / 2 - side / 2 + steps * side).astype(int), 0, SIDE - 1)
    seen = mask[np.ix_(rows, columns)]
    return np.asarray(seen.reshape(cells, 16, cells, 16).mean((1, 3)), np.float32)


def heated(heat: Heat, tilt: float = 0.0) -> FaceEvidence:
    points = tuple((float(x) / SIDE, float(y) / SIDE) for x, y in landmarks(tilt))
    return FaceEvidence(RelativeBox(*BOX), 0.99, GOOD, {"screen-a": 3.0}, landmarks=points, heat=pack(heat))


def blended(outline: str, cells: int = 12, strength: float = 1.0, background: float = 0.0) -> FaceEvidence:
    """A face whose detector sees exactly where a blend of that outline is."""
    points = OUTLINES[outline]
    design = np.concatenate([TEMPLATE, np.ones((5, 1), np.float32)], axis=1)
    fit, *_ = np.linalg.lstsq(design, landmarks(), rcond=None)
    placed = np.concatenate([points, np.ones((len(points), 1), np.float32)], axis=1) @ fit
    mask = np.zeros((SIDE, SIDE), np.float32)
    cv2.fillPoly(mask, [np.rint(placed).astype(np.int32)], 1.0)
    return heated(np.maximum(over_crop(mask, cells) * strength, background).astype(np.float32))


@pytest.mark.parametrize("outline", OUTLINES)
def test_heat_is_located_where_the_blend_is(outline: str) -> None:
    found = locate([blended(outline)], 1.0)
    assert found.location is OUTLINES_OF[outline]
    assert found.alike > 0.7


@pytest.mark.parametrize("outline", OUTLINES)
@pytest.mark.parametrize(("strength", "background"), [(0.4, 0.0), (0.9, 0.3)])
def test_neither_strength_nor_background_moves_it(outline: str, strength: float, background: float) -> None:
    found = locate([blended(outline, strength=strength, background=background)], 1.0)
    assert found.location is OUTLINES_OF[outline]


def test_every_outline_that_is_blended_has_a_location() -> None:
    assert OUTLINES_OF.keys() == OUTLINES.keys()


def test_the_frame_s_aspect_is_undone() -> None:
    # The same face in a frame twice as wide.
    square = blended("mouth")
    x, y, width, height = BOX
    wide = replace(
        square,
        box=RelativeBox(x / 2, y, width / 2, height),
        landmarks=tuple((column / 2, row) for column, row in square.landmarks),
    )
    one, other = locate([square], 1.0), locate([wide], 2.0)
    assert one.location is other.location is Location.MOUTH
    assert one.alike == pytest.approx(other.alike, abs=1e-5)
    shares, squeezed = one.shares, locate([wide], 1.0).shares
    assert shares is not None
    assert squeezed is not None
    assert squeezed["mouth"] < shares["mouth"] - 0.1


def test_shares_of_heat_are_told_by_part_and_sum_to_1() -> None:
    mouth, whole = locate([blended("mouth")], 1.0).shares, locate([blended("head")], 1.0).shares
    assert mouth is not None
    assert whole is not None
    assert max(mouth, key=lambda name: mouth[name]) == "mouth"
    assert mouth["mouth"] > 0.6
    assert max(whole.values()) < 0.5
    assert sum(mouth.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "quiet",
    [
        replace(blended("mouth"), heat=""),
        replace(blended("mouth"), landmarks=()),
        blended("mouth", strength=0.2),
        heated(np.zeros((6, 6), np.float32)),
        heated(np.full((6, 6), 0.9, np.float32)),
        heated(np.indices((6, 6)).sum(0).astype(np.float32) % 2),
    ],
    ids=["no map", "no landmarks", "hardly any heat", "none", "everywhere alike", "a chessboard"],
)
def test_heat_that_says_nothing_is_located_nowhere(quiet: FaceEvidence) -> None:
    assert locate([quiet], 1.0).location is Location.UNCLEAR


def test_no_face_is_located_nowhere() -> None:
    assert locate([], 1.0) == Located(Location.UNCLEAR)


def test_landmarks_all_in_one_place_are_no_error() -> None:
    degenerate = replace(blended("face"), landmarks=((0.5, 0.5),) * 5)
    assert locate([degenerate], 1.0).location in Location


def test_the_mean_over_a_track_decides() -> None:
    track = [blended("mouth"), blended("mouth"), blended("mouth"), blended("eyes")]
    assert locate(track, 1.0).location is Location.MOUTH


def test_maps_as_coarse_as_the_detectors_are_located_mostly_right_and_seldom_elsewhere() -> None:
    # Blends as training draws them: jittered, bent, blurred, of any strength.
    faces, outlines = [], []
    for seed in range(300):
        random = np.random.default_rng(seed)
        tilt = float(random.normal(0, 0.1))
        mask, outline = draw_mask(landmarks(tilt), SIDE, random)
        faces.append(heated(over_crop(mask, cells=6), tilt))
        outlines.append(outline)
    pairs = zip(faces, outlines, strict=True)
    confusion = Confusion(Counter((OUTLINES_OF[outline], locate([face], 1.0).location) for face, outline in pairs))
    assert confusion.total == 300
    assert confusion.accuracy > 0.75
    unclear = sum(count for (_, found), count in confusion.counts.items() if found is Location.UNCLEAR)
    assert confusion.accuracy + unclear / 300 > 0.9


def test_a_confusion_tells_recall_by_location() -> None:
    confusion = Confusion({(Location.EYES, Location.EYES): 3, (Location.EYES, Location.NOSE): 1})
    assert confusion.accuracy == confusion.recall(Location.EYES) == 0.75
    assert confusion.recall(Location.MOUTH) is None


def likeliest(location: Location, *, moving: bool) -> ManipulationKind:
    return kinds([ALTERED], Located(location), moving=moving, signs={})[0].kind


@pytest.mark.parametrize(
    ("location", "moving", "kind"),
    [
        (Location.WHOLE, True, ManipulationKind.FACE_SWAP),
        (Location.WHOLE, False, ManipulationKind.FACE_SWAP),
        (Location.MOUTH, True, ManipulationKind.SPEECH_DRIVEN),
        (Location.LOWER, True, ManipulationKind.SPEECH_DRIVEN),
        (Location.MOUTH, False, ManipulationKind.PARTIAL),
        (Location.LOWER, False, ManipulationKind.PARTIAL),
        (Location.EYES, False, ManipulationKind.PARTIAL),
        (Location.NOSE, True, ManipulationKind.UNKNOWN),
        (Location.UNCLEAR, True, ManipulationKind.UNKNOWN),
        (Location.UNCLEAR, False, ManipulationKind.UNKNOWN),
    ],
)
def test_the_likeliest_kind_follows_where_the_heat_lies(
    location: Location, moving: bool, kind: ManipulationKind
) -> None:
    assert likeliest(location, moving=moving) is kind


@pytest.mark.parametrize("location", PLACES)
def test_a_still_shows_nothing_that_moves(location: Location) -> None:
    moving = {ManipulationKind.REENACTMENT, ManipulationKind.SPEECH_DRIVEN}
    assert not moving & altered(location, moving=False, signs={}).keys()


def test_heat_nowhere_in_particular_is_unknown_and_nothing_else() -> None:
    (only,) = kinds([ALTERED], Located(Location.UNCLEAR), moving=True, signs={"face_motion": 1.0})
    assert (only.kind, only.probability) == (ManipulationKind.UNKNOWN, 0.9)


def test_a_generated_face_is_a_synthesis_wherever_heat_lies() -> None:
    (only,) = kinds([GENERATED], Located(Location.WHOLE), moving=True, signs={})
    assert (only.kind, only.probability) == (ManipulationKind.FULL_SYNTHESIS, 0.6)


def test_two_axes_share_the_highest_score() -> None:
    found = {
        kind.kind: kind.probability
        for kind in kinds([ALTERED, GENERATED], Located(Location.EYES), moving=False, signs={})
    }
    assert found[ManipulationKind.FULL_SYNTHESIS] == pytest.approx(0.9 * 0.6 / 1.5)
    assert sum(found.values()) == pytest.approx(0.9)


def test_without_an_axis_that_speaks_there_is_no_kind() -> None:
    assert kinds([], Located(Location.WHOLE), moving=True, signs={}) == ()


@given(
    location=st.sampled_from(Location),
    moving=st.booleans(),
    signs=st.dictionaries(
        st.sampled_from(["face_motion", "lighting_drift", "motion_disorder", "landmark_jitter", "other"]),
        st.floats(-1, 2),
    ),
)
def test_kinds_sum_to_the_score_and_signs_only_move_shares(
    location: Location, moving: bool, signs: dict[str, float]
) -> None:
    found = kinds([ALTERED], Located(location), moving=moving, signs=signs)
    plain = kinds([ALTERED], Located(location), moving=moving, signs={})
    assert sum(kind.probability for kind in found) == pytest.approx(0.9)
    assert [kind.probability for kind in found] == sorted((kind.probability for kind in found), reverse=True)
    unknown = [kind.probability for kind in found if kind.kind is ManipulationKind.UNKNOWN]
    assert unknown == pytest.approx([kind.probability for kind in plain if kind.kind is ManipulationKind.UNKNOWN])
    if not moving:
        assert found == plain


def test_a_face_that_moves_unlike_its_surroundings_is_rather_a_swap() -> None:
    still, late = (altered(Location.WHOLE, moving=True, signs=signs) for signs in ({}, {"face_motion": 1.0}))
    assert late[ManipulationKind.FACE_SWAP] > still[ManipulationKind.FACE_SWAP]
    assert late[ManipulationKind.REENACTMENT] < still[ManipulationKind.REENACTMENT]


def test_of_a_long_track_the_most_suspicious_faces_with_a_map_are_looked_at() -> None:
    faces = [replace(blended("mouth"), logits={"screen-a": float(number)}) for number in range(100)]
    chosen = telling([*faces, face({"screen-a": 999.0})], ["screen-a"])
    assert [one.logits["screen-a"] for one in chosen] == [float(number) for number in range(99, 35, -1)]


def test_a_verdict_tells_the_kind_the_place_and_where_to_look() -> None:
    frames = [frame(number, replace(blended("mouth"), logits={"screen-a": logit(0.9)})) for number in range(4)]
    screen = DetectorFacts("screen-a", "screen", 0.5)
    decision = decide(frames, [screen], DEFAULT_POLICY, moving=True, coverage=1.0, aspect=1.0)
    assert decision.located.location is Location.MOUTH
    assert decision.types[0].kind is ManipulationKind.SPEECH_DRIVEN
    assert "a face looks altered around the mouth" in decision.recommendation.reason
    assert decision.recommendation.checks[0].startswith("Look at the face around the mouth at full size, at 0.0 s")
    blind = decide(frames, [screen], DEFAULT_POLICY, moving=True, coverage=1.0)
    assert [kind.kind for kind in blind.types] == [ManipulationKind.UNKNOWN]
