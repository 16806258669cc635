"""What both demos begin with, step by step, and how they show it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from time import monotonic

from rich.console import Console
from rich.filesize import decimal
from rich.rule import Rule
from rich.status import Status
from rich.text import Text

from agents.local import EmbeddedStack
from agents.model_set import chosen
from agents.preparation import prepare
from agents.report.wording import counted
from agents.settings import ModelSettings, Settings
from models.sources import Progress, cached_path, resolve


class Step:
    """One step of a demo. `came` is what it says of itself in the end."""

    def __init__(self, doing: str, status: Status | None) -> None:
        self.came = doing
        self._status = status

    def progress(self, progress: Progress) -> None:
        """Show how far a download is."""
        if self._status is not None:
            of = "" if progress.total is None else f" of {decimal(progress.total)}"
            self._status.update(f"{progress.step} {progress.entry}: {decimal(progress.done)}{of}")


class StepView:
    """Shows steps, one after another.

    Args:
        console: where to. Without a terminal nothing moves, and every step is a line.
        started: when the demo began, on `clock`.
        clock: seconds.
    """

    def __init__(self, console: Console, started: float, clock: Callable[[], float] = monotonic) -> None:
        self._console = console
        self._clock = clock
        self._started = started

    @property
    def elapsed_s(self) -> float:
        """Seconds since the demo began."""
        return self._clock() - self._started

    @contextmanager
    def step(self, doing: str) -> Iterator["Step"]:
        """Show that something is under way, and when it ended well, what came of it."""
        status = Status(doing, console=self._console) if self._console.is_terminal else None
        step = Step(doing, status)
        with status or nullcontext():
            yield step
        line = Text().append("✓ ", "green").append(f"{self.elapsed_s:5.1f} s  ", "dim").append(step.came)
        self._console.print(line, soft_wrap=True)

    def heading(self, text: str) -> None:
        """Show what follows."""
        self._console.print()
        self._console.print(Rule(Text(text, "bold"), align="left", style="bright_black"))

    def logs_kept(self, folder: str) -> None:
        """Say where logs lie."""
        self._console.print(f"logs of servers and agents: {folder}", style="yellow", markup=False, soft_wrap=True)


def start(view: StepView, stack: EmbeddedStack) -> None:
    """Start the servers.

    Raises:
        LocalStackError: one does not start.
    """
    with view.step("starting broker, key-value store and database") as step:
        stack.start()
        started = ", ".join(server.name for server in stack.servers)
        step.came = f"started: {started}" if started else "every server was given by its URL"


def create(view: StepView, settings: Settings) -> None:
    """Create topics and tables.

    Raises:
        TopicError, MigrationFailed, Unavailable: they could not be.
    """
    with view.step("creating topics and tables") as step:
        prepared = prepare(settings)
        topics, migrations = len(prepared.topics.created), len(prepared.migrations)
        step.came = f"{counted(topics, 'topic')} created, {counted(migrations, 'migration')} applied"


def pull(view: StepView, models: ModelSettings) -> None:
    """Fetch and check the models.

    Raises:
        ModelError: one cannot be had.
    """
    entries = chosen(models)
    missing = [entry.name for entry in entries if not cached_path(entry, models.cache).exists()]
    with view.step("fetching and checking the models") as step:
        for entry in entries:
            resolve(entry, models.cache, offline=models.offline, on_progress=step.progress)
        how = f"{', '.join(missing)} fetched" if missing else "no download needed"
        step.came = f"models: {', '.join(entry.name for entry in entries)} ({how})"
