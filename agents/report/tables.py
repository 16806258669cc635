"""Verdicts side by side: one line each."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from agents.report.cards import ACTION_STYLES, LABEL_STYLES
from schemas.verdict import Axis, Verdict


def verdict_table(named: Iterable[tuple[str, Verdict]]) -> Table:
    """Return a table of verdicts, each under the name that it is given, with the reason below it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("media", overflow="fold", ratio=1)
    table.add_column("label", no_wrap=True)
    table.add_column("altered", justify="right", no_wrap=True)
    table.add_column("synthetic", justify="right", no_wrap=True)
    table.add_column("advice", no_wrap=True)
    for name, verdict in named:
        scores = {axis.axis: axis.score for axis in verdict.axes}
        table.add_row(
            Text(name).append(f"\n{verdict.reason or verdict.recommendation.reason}", "dim"),
            Text(verdict.label, LABEL_STYLES[verdict.label]),
            _score(scores.get(Axis.MANIPULATION)),
            _score(scores.get(Axis.SYNTHETIC)),
            Text(verdict.recommendation.action, ACTION_STYLES[verdict.recommendation.action]),
        )
    return table


def _score(score: float | None) -> Text:
    return Text("-", "dim") if score is None else Text(f"{score:.2f}")
