"""Verdicts as answers of a command: what is printed and how it exits."""

from collections.abc import Sequence

from rich.console import Console

from agents.cli.exits import ExitCode
from agents.report.cards import verdict_card
from agents.report.tables import verdict_table
from schemas.verdict import Label, Outcome, Verdict

_UNREAD = (Outcome.UNREACHABLE, Outcome.UNDECODABLE, Outcome.UNSUPPORTED)


def print_verdicts(named: Sequence[tuple[str, Verdict]], *, as_json: bool, out: Console) -> None:
    """Print a card for one verdict, a table for several, or one line of JSON each."""
    if as_json:
        for _, verdict in named:
            out.file.write(verdict.model_dump_json() + "\n")
        out.file.flush()
    elif len(named) == 1:
        name, verdict = named[0]
        out.print(verdict_card(verdict, name))
    elif named:
        out.print(verdict_table(named))


def exit_for(verdicts: Sequence[Verdict], *, fail_on_manipulated: bool) -> ExitCode:
    """Return the exit code that verdicts lead to: what was asked to fail goes before what could not be read."""
    if fail_on_manipulated and any(verdict.label is Label.MANIPULATED for verdict in verdicts):
        return ExitCode.MANIPULATED
    if any(verdict.outcome in _UNREAD for verdict in verdicts):
        return ExitCode.MEDIA_UNREAD
    return ExitCode.OK
