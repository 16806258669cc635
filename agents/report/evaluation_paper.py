"""The paper that an evaluation is drawn on: figures, panels, legends and colours."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from agents.report.evaluation import LEVELS
from models.evaluation.report import EvaluationReport, Kind, Level, Result

Panel = tuple[str, Level]
"""A subset, and what is ranked of it."""

_DPI = 130
INK, FAINT, GRID = "#1f2430", "#6b7280", "#e6e8ee"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#a6761d")
"""Of Okabe & Ito (https://jfly.uni-koeln.de/color/), told apart by people who see colours differently."""
MARKS = ("o", "s", "^", "D", "v", "P")
CHANCE, SIZE_ALONE = (0, (1, 2)), (0, (5, 3))
"""Dashes of the lines that detectors are compared with."""


def panels_of(report: EvaluationReport, count: int, height: float, title: str) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many panels, each `height` inches high."""
    columns = 2 if count in {2, 4} else min(3, count)
    rows = -(-count // columns)
    figure = figure_of(max(5.0, 1.2 + 3.7 * columns), 0.9 + height * rows, report, title)
    return figure, [figure.add_subplot(rows, columns, at + 1) for at in range(count)]


def figure_of(width: float, height: float, report: EvaluationReport, title: str) -> Figure:
    """Return an empty figure of so many inches, with its heading."""
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{title}: {report.name}, {report.views[0]}", x=0.01, ha="left", fontsize=12, color=INK)
    return figure


def with_legend(figure: Figure, handles: Sequence[Line2D]) -> Figure:
    """Return a figure with a legend below all panels."""
    figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=min(4, len(handles)),
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
    )
    return figure


def legend_below(axes: Axes, columns: int = 1, gap: float = 0.2) -> None:
    """Put the legend of a panel under it, where it covers nothing; `gap` is a share of the panel's height."""
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -gap), frameon=False, fontsize=8, labelcolor=INK, ncols=columns
    )


def paper(axes: Axes, panel: Panel) -> None:
    """Prepare a panel of a subset."""
    strip(axes)
    subset, level = panel
    axes.set_title(f"{subset}, {LEVELS[level]}", loc="left", fontsize=9.5, color=INK)


def strip(axes: Axes) -> None:
    """Leave only what is needed of a panel's frame."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelsize=8.5, length=0)
    axes.set_axisbelow(True)


def nothing(axes: Axes, why: str) -> None:
    """Say in a panel why it is empty."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", fontsize=9.5, color=FAINT)


def detector_rows(report: EvaluationReport) -> list[str]:
    """Return the names of the detectors and their fusion."""
    return [row.name for row in report.rows if row.kind in {Kind.DETECTOR, Kind.FUSED}]


def results_of(report: EvaluationReport, panel: Panel | None = None) -> list[Result]:
    """Return the results of the view that counts, of one panel or of all."""
    return [
        each for each in report.results if each.view == report.views[0] and panel in {None, (each.subset, each.level)}
    ]
