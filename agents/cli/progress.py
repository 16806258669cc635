"""A bar for each step of a long command."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from agents.cli.console import ERR

OnStep = Callable[[str, int, int], None]
"""Told what is done, how much of it, and how much there is."""


@contextmanager
def steps() -> Iterator[OnStep]:
    """Show bars on stderr, where it is a terminal, while the block runs; give what is to be told of steps."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=ERR, transient=True, disable=not ERR.is_terminal) as bars:
        tasks = {}

        def on_step(step: str, done: int, of: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=of)
            bars.update(tasks[step], completed=done, visible=done < of)

        yield on_step
