import io

import pytest
from rich.console import Console

from agents.cli.exits import ExitCode
from agents.cli.outcomes import exit_for, print_verdicts
from schemas.examples import EXAMPLES
from schemas.verdict import Label, Outcome, Verdict

VERDICT = next(event for event in EXAMPLES.values() if isinstance(event, Verdict))


def verdict(label: Label, outcome: Outcome = Outcome.SCORED) -> Verdict:
    return VERDICT.model_copy(update={"label": label, "outcome": outcome})


@pytest.mark.parametrize(
    ("verdicts", "fails", "passes"),
    [
        ([verdict(Label.AUTHENTIC)], ExitCode.OK, ExitCode.OK),
        ([verdict(Label.MANIPULATED)], ExitCode.MANIPULATED, ExitCode.OK),
        ([verdict(Label.INCONCLUSIVE, Outcome.NO_FACE)], ExitCode.OK, ExitCode.OK),
        ([verdict(Label.INCONCLUSIVE, Outcome.UNDECODABLE)], ExitCode.MEDIA_UNREAD, ExitCode.MEDIA_UNREAD),
        (
            [verdict(Label.INCONCLUSIVE, Outcome.UNREACHABLE), verdict(Label.MANIPULATED)],
            ExitCode.MANIPULATED,
            ExitCode.MEDIA_UNREAD,
        ),
    ],
)
def test_verdicts_lead_to_an_exit_code(verdicts: list[Verdict], fails: ExitCode, passes: ExitCode) -> None:
    assert exit_for(verdicts, fail_on_manipulated=True) is fails
    assert exit_for(verdicts, fail_on_manipulated=False) is passes


def test_json_is_one_verdict_a_line() -> None:
    out = io.StringIO()
    both = [VERDICT, verdict(Label.AUTHENTIC)]
    print_verdicts([("a", both[0]), ("b", both[1])], as_json=True, out=Console(file=out, width=40))
    assert [Verdict.model_validate_json(line) for line in out.getvalue().splitlines()] == both


@pytest.mark.parametrize("width", [80, 100])
def test_one_verdict_is_a_card_and_several_are_a_table(width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width)
    print_verdicts([("clip.mp4", VERDICT)], as_json=False, out=console)
    card = out.getvalue()
    assert "MANIPULATED" in card
    assert str(VERDICT.verdict_id) in card
    print_verdicts([("clip.mp4", VERDICT), ("b.jpg", VERDICT)], as_json=False, out=console)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert sum(line.startswith(("clip.mp4", "b.jpg")) for line in lines) == 2
