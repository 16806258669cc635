"""What a part of the benchmark found: tables, on the terminal and in docs/benchmarks.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from bench.machine import Machine

_INTRODUCTION = """\
# Benchmarks

Written by `{command}` on {date}; edit nothing here.

Other work may have run beside it, so that ratios within a table say more than its figures: what is compared was
measured alternately, repetition by repetition, in the one run. Figures are medians, with (least–greatest) where there
were several repetitions. Uploads are in `benchmarks.md`, live streams in `benchmarks-live.md`.
"""  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Table:
    """Figures that are compared."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    meaning: str
    """What is compared, and what eats the rest."""

    def show(self, console: Console) -> None:
        """Print it."""
        table = RichTable(title=self.title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
        for position, column in enumerate(self.columns):
            table.add_column(column, justify="right" if position else "left")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)
        console.print(self.meaning, style="dim")

    def markdown(self) -> str:
        """Return it as a table of GitHub's Markdown."""
        lines = [
            _row(self.columns),
            _row(["---", *("---:" for _ in self.columns[1:])]),
            *map(_row, self.rows),
        ]
        return "\n".join([f"### {self.title}", "", *lines, "", self.meaning, ""])


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot, as it is written beside the document."""

    name: str
    """Of its file."""
    caption: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Section:
    """The tables of one part, and its pictures, which are shown before them."""

    title: str
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...] = ()


def write_document(path: Path, sections: Sequence[Section], machine: Machine, command: str, date: str) -> None:
    """Write a document like docs/benchmarks.md, and its pictures into a folder beside it."""
    folder = path.with_suffix("")
    parts = [_INTRODUCTION.format(command=command, date=date), machine.markdown()]
    for section in sections:
        parts.append(f"## {section.title}\n")
        for picture in section.pictures:
            folder.mkdir(exist_ok=True)
            (folder / picture.name).write_bytes(picture.content)
            parts.append(f"![{picture.caption}]({folder.name}/{picture.name})\n")
        parts += [table.markdown() for table in section.tables]
    path.write_text("\n".join(parts), encoding="utf-8")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
