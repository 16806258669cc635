"""Uploads on their way: a live table for a terminal, a line at each step for everything else."""

from collections.abc import Callable, Sequence
from time import monotonic

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from agents.following import Upload
from agents.report.cards import LABEL_STYLES
from agents.report.wording import counted

_BAR = 24


class UploadProgress:
    """Shows uploads as they come forward; a rich renderable, to be shown live.

    Args:
        uploads: the uploads, which others bring forward.
        clock: seconds; the one that `Uploads.take` is given.
    """

    def __init__(self, uploads: Sequence[Upload], clock: Callable[[], float] = monotonic) -> None:
        self._uploads = uploads
        self._clock = clock
        self._started = clock()
        self._spinner = Spinner("dots")

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=32)
        table.add_column(width=_BAR)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right", style="dim")
        for upload in self._uploads:
            until = self._clock() if upload.verdict_at is None else upload.verdict_at
            table.add_row(
                self._mark(upload),
                upload.name,
                _bar(upload),
                _state(upload),
                f"{max(0.0, until - self._started):.1f} s",
            )
        return table

    def _mark(self, upload: Upload) -> RenderableType:
        return self._spinner if upload.verdict is None else Text("✓", "green")


class ProgressLines:
    """Prints a line whenever an upload came forward, for logs and pipes.

    Args:
        console: where to.
        elapsed_s: returns the seconds to put before a line.
    """

    def __init__(self, console: Console, elapsed_s: Callable[[], float]) -> None:
        self._console = console
        self._elapsed_s = elapsed_s
        self._told: dict[str, str] = {}

    def tell(self, uploads: Sequence[Upload]) -> None:
        """Print what is new."""
        for upload in uploads:
            said = _state(upload).plain
            if self._told.get(upload.name) != said:
                self._told[upload.name] = said
                line = f"{self._elapsed_s():7.1f} s  {upload.name}: {said}"
                self._console.print(line, markup=False, soft_wrap=True)


def _bar(upload: Upload) -> ProgressBar:
    if upload.verdict is not None:
        return ProgressBar(total=1, completed=1, width=_BAR)
    if upload.segments is None:
        return ProgressBar(total=1, completed=0, width=_BAR)
    return ProgressBar(total=upload.segments, completed=upload.segments_done, width=_BAR)


def _state(upload: Upload) -> Text:
    if upload.verdict is not None:
        said = upload.verdict.label
        return Text(f"{said}{_seen(upload)}", LABEL_STYLES[said].removeprefix("bold "))
    if upload.segments is None:
        return Text("published", "dim")
    return Text(f"{upload.stage}, {upload.segments_done} of {counted(upload.segments, 'segment')}{_seen(upload)}")


def _seen(upload: Upload) -> str:
    return f", {counted(upload.frames, 'frame')}, {counted(upload.faces, 'face')}" if upload.frames else ""
