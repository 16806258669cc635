"""The cascade: who is asked about which faces."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from models.asking import Asking, asked_later, asking, spread
from models.manifest import Entry
from schemas.media import DetectionLevel
from tests.support.evidence import POOR, face, frame
from tests.support.tiny_models import entry


def named(name: str, role: str, suspicion: float = 0.0) -> Entry:
    output = {"layout": "logit", "suspicion": suspicion}
    return entry(path=Path("m.onnx"), sha256="0" * 64, name=name, role=role, output=output)


SCREEN, PRIMARY = named("fast", "screen", 0.4), named("fine", "primary")
SYNTHETIC, LIVENESS = named("drawn", "synthetic"), named("live", "liveness")
ALL = (SCREEN, PRIMARY, SYNTHETIC, LIVENESS)


def test_basic_asks_the_screen_alone() -> None:
    asked = asking(DetectionLevel.BASIC, ALL)
    assert asked.every == ("fast",)
    assert asked.later == ()
    assert not asked.artifacts


def test_basic_asks_the_primary_where_there_is_no_screen() -> None:
    assert asking(DetectionLevel.BASIC, (PRIMARY, SYNTHETIC)).every == ("fine",)


def test_standard_asks_the_primary_where_the_screen_is_suspicious() -> None:
    asked = asking(DetectionLevel.STANDARD, ALL)
    assert asked.every == ("fast",)
    assert asked.suspicious == ("fine",)
    assert dict(asked.sampled) == {"drawn": 4}
    assert asked.suspicion == {"fast": 0.4}
    assert asked.artifacts
    assert not asked.motion


def test_standard_asks_the_primary_of_every_face_where_there_is_no_screen() -> None:
    asked = asking(DetectionLevel.STANDARD, (PRIMARY, SYNTHETIC))
    assert asked.every == ("fine",)
    assert asked.suspicious == ()


def test_advanced_asks_all() -> None:
    asked = asking(DetectionLevel.ADVANCED, ALL)
    assert asked.every == ("fast", "fine")
    assert dict(asked.sampled) == {"drawn": 16, "live": 16}
    assert asked.motion


FRAMES = (
    frame(0, face({"fast": -3.0}, track=0), face({"fast": 2.0}, track=1)),
    frame(1, face({"fast": -4.0}, track=0), face(track=1, quality=POOR)),
    frame(2, face({"fast": -4.0}, track=0), face({"fast": 1.0}, track=1)),
)
KEPT = ((0, 0), (0, 1), (1, 0), (2, 0), (2, 1))


def test_the_primary_sees_all_of_a_suspicious_track_and_nothing_of_another() -> None:
    asked = Asking(every=("fast",), suspicious=("fine",), suspicion={"fast": 0.4})
    assert asked_later(FRAMES, KEPT, asked) == {"fine": [(0, 1), (2, 1)]}


def test_sampled_detectors_see_some_of_every_track() -> None:
    asked = Asking(every=("fast",), sampled={"drawn": 2}, suspicion={"fast": 0.4})
    assert asked_later(FRAMES, KEPT, asked) == {"drawn": [(0, 0), (0, 1), (1, 0), (2, 1)]}


def test_faces_whose_crops_are_gone_are_not_asked_about() -> None:
    asked = Asking(every=("fast",), suspicious=("fine",), suspicion={"fast": 0.4})
    assert asked_later(FRAMES, ((0, 0), (2, 1)), asked) == {"fine": [(2, 1)]}


@pytest.mark.parametrize(("count", "most"), [(1, 4), (4, 4), (9, 4), (300, 16)])
def test_a_spread_begins_with_the_first_and_has_no_face_twice(count: int, most: int) -> None:
    places = [(number, 0) for number in range(count)]
    chosen = spread(places, most)
    assert len(chosen) == len(set(chosen)) == min(count, most)
    assert chosen[0] == (0, 0)


@given(st.lists(st.floats(-6, 6), min_size=1, max_size=12), st.floats(0, 0.9))
def test_a_lower_suspicion_never_asks_less(logits: list[float], suspicion: float) -> None:
    frames = tuple(frame(number, face({"fast": value}, track=number % 3)) for number, value in enumerate(logits))
    kept = [(number, 0) for number in range(len(logits))]
    strict, lax = (
        asked_later(frames, kept, Asking(every=("fast",), suspicious=("fine",), suspicion={"fast": least}))["fine"]
        for least in (suspicion, suspicion / 2)
    )
    assert set(strict) <= set(lax)
