import io

import pytest
from rich.console import Console

from agents.report.cards import score_bar, stages, verdict_card
from schemas.examples import EXAMPLES
from schemas.verdict import Axis, Label, ModelVersion, Outcome, Timings, Verdict

VERDICT = next(event for event in EXAMPLES.values() if isinstance(event, Verdict))


def shown(verdict: Verdict) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(verdict_card(verdict, "a clip"))
    return out.getvalue()


def test_a_card_says_label_scores_advice_evidence_and_time() -> None:
    card = shown(VERDICT)
    for said in ("a clip", "MANIPULATED", "0.96 at or over 0.50", "block", "20 faces in 1 track", "1.58 s"):
        assert said in card


def test_a_card_says_which_question_nobody_asked() -> None:
    synthetic = ModelVersion(name="s", role="synthetic", version="1", sha256="0" * 64, provider="cpu")
    card = shown(VERDICT.model_copy(update={"axes": (), "models": (synthetic,)}))
    assert "altered face    not judged: no such detector in this model set" in card
    assert "synthetic face  not judged: no face was good enough" in card


def test_a_card_of_unread_media_gives_the_reason_and_no_scores() -> None:
    unread = {
        "outcome": Outcome.UNDECODABLE,
        "label": Label.INCONCLUSIVE,
        "reason": "the file is cut off",
        "axes": (),
        "quality": None,
        "media": None,
    }
    card = shown(VERDICT.model_copy(update=unread))
    assert "INCONCLUSIVE  undecodable  the file is cut off" in card
    assert "synthetic face" not in card


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_a_bar_always_has_the_same_length_and_its_threshold(score: float) -> None:
    bar = score_bar(score, 0.5, "red").plain
    assert len(bar) == len(score_bar(0.2, 1.0, "red").plain)
    assert bar.count("┃") == 1


def test_stages_that_took_no_time_are_left_out() -> None:
    assert stages(Timings(plan_ms=84, fetch_ms=0.3, score_ms=1250)) == "plan 0.08 · score 1.25"


def test_every_axis_can_be_shown() -> None:
    axis = VERDICT.axes[0]
    axes = tuple(axis.model_copy(update={"axis": each}) for each in Axis)
    card = shown(VERDICT.model_copy(update={"axes": axes}))
    for question in ("altered face", "synthetic face", "held to a camera"):
        assert question in card
