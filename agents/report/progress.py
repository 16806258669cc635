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

_NAME = 22
"""Characters of a name: of a long path its end."""
_BAR = 12
"""Columns: the rest of 80 is needed for words."""


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
        table.add_column(no_wrap=True)
        table.add_column(width=_BAR)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right", style="dim", min_width=7)
        for upload in self._uploads:
            until = self._clock() if upload.verdict_at is None else upload.verdict_at
            table.add_row(
                self._mark(upload),
                upload.name if len(upload.name) <= _NAME else f"…{upload.name[1 - _NAME :]}",
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
    total, completed = upload.segments or 1, upload.segments_done
    if upload.verdict is not None:
        completed = total
    return ProgressBar(
        total=total,
        completed=completed,
        width=_BAR,
        style="bright_black",
        complete_style="cyan",
        finished_style="green",
    )


def _state(upload: Upload) -> Text:
    if upload.verdict is not None:
        said = upload.verdict.label
        seen = f", {counted(upload.frames, 'frame')}, {counted(upload.faces, 'face')}" if upload.frames else ""
        return Text(f"{said}{seen}", LABEL_STYLES[said].removeprefix("bold "))
    if upload.segments is None:
        return Text("published", "dim")
    frames = f", {counted(upload.frames, 'frame')}" if upload.frames else ""
    return Text(f"{upload.segments_done} of {counted(upload.segments, 'segment')}{frames}")
