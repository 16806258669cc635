"""Images a second of the families as a picture. Needs the extra `plot`."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from agents.report.evaluation_paper import COLOURS, FAINT, GRID, INK, strip
from bench.samples import Samples

PACE_PICTURE = "families-{}.png"
"""File of a provider's picture."""
_DPI = 130
_OURS, _BARE = COLOURS[0], COLOURS[1]


@dataclass(frozen=True, slots=True)
class Point:
    """A family with batches of one size."""

    label: str
    batch: int
    ours: Samples
    bare: Samples
    drawn: bool


def draw_pace(points: Sequence[Point], where: str) -> bytes:
    """Return the picture as PNG: a panel a batch size, a row a family, the fastest on top.

    Shapes tell the two ways apart where colours do not; a line spans the repetitions.
    """
    batches = sorted({each.batch for each in points})
    fastest = {each.label: max(p.ours.median for p in points if p.label == each.label) for each in points}
    labels = sorted(fastest, key=fastest.__getitem__, reverse=True)
    drawn = {each.label for each in points if each.drawn}
    figure = Figure(figsize=(11.0, 1.7 + 0.36 * len(labels)), dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"Images a second through the batcher and bare, {where}", x=0.01, ha="left", fontsize=12, color=INK)
    first: Axes | None = None
    for place, batch in enumerate(batches):
        axes = figure.add_subplot(1, len(batches), place + 1, sharex=first, sharey=first)
        first = first or axes
        _panel(axes, [each for each in points if each.batch == batch], labels)
        axes.set_title("one at a time" if batch == 1 else f"batches of {batch}", loc="left", fontsize=9.5, color=INK)
        axes.tick_params(labelleft=place == 0)
    if first is not None:
        names = [f"{label} *" if label in drawn else label for label in labels]
        first.set_yticks(range(len(labels)), names)
        first.set_ylim(len(labels) - 0.5, -0.5)
    handles = [
        Line2D([], [], color=_OURS, marker="o", markersize=7, linestyle="-", label="through the batcher"),
        Line2D([], [], color=_BARE, marker="D", markersize=6, markerfacecolor="none", label="bare loop, same session"),
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        title="* drawn weights: speed only. A line spans the repetitions." if drawn else None,
        title_fontsize=8.5,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _panel(axes: Axes, points: Sequence[Point], labels: Sequence[str]) -> None:
    strip(axes)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    for row in range(len(labels)):
        axes.axhline(row, color=GRID, linewidth=0.8, zorder=0)
    for point in points:
        row = labels.index(point.label)
        for samples, colour, mark, size, filled, shift in (
            (point.ours, _OURS, "o", 7, True, -0.13),
            (point.bare, _BARE, "D", 6, False, 0.13),
        ):
            axes.plot([min(samples.values), max(samples.values)], [row + shift] * 2, color=colour, linewidth=1.4)
            face = colour if filled else "white"
            axes.plot([samples.median], [row + shift], mark, color=colour, markersize=size, markerfacecolor=face)
    missing = set(labels) - {point.label for point in points}
    for label in missing:
        axes.text(
            0.02,
            labels.index(label),
            "one at a time only",
            transform=axes.get_yaxis_transform(),
            fontsize=8,
            color=FAINT,
            va="center",
        )
    axes.set_xlabel("images a second (logarithmic)", color=FAINT, fontsize=9)
