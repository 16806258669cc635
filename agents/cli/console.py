"""Where the command line writes: answers to standard output, everything about the way there to standard error."""

from rich.console import Console
from rich.markup import escape

OUT = Console(highlight=False)
"""Answers: tables, JSON, URLs. What a pipe should get."""
ERR = Console(stderr=True, highlight=False)
"""Progress, notes and errors."""


def note(text: str) -> None:
    """Say something about the way, on standard error."""
    ERR.print(escape(text), style="dim", soft_wrap=True)


def complain(text: str) -> None:
    """Say what went wrong: red, on standard error."""
    ERR.print(f"[bold red]fleet:[/] [red]{escape(text)}[/]", soft_wrap=True)
