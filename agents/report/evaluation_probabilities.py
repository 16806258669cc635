"""Probabilities as pictures: how they are spread, and whether they are honest."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agents.report.evaluation_paper import (
    CHANCE,
    COLOURS,
    FAINT,
    GRID,
    INK,
    SIZE_ALONE,
    Panel,
    detector_rows,
    figure_of,
    legend_below,
    nothing,
    paper,
)
from models.evaluation.report import Bin, EvaluationReport, Result

_REAL, _FAKE = COLOURS[0], COLOURS[1]


def draw_scores(report: EvaluationReport, panels: Sequence[Panel]) -> Figure:
    """Draw how the probabilities of both labels are spread."""
    return _by_row(report, panels, _scores, "How probabilities are spread")


def draw_reliability(report: EvaluationReport, panels: Sequence[Panel]) -> Figure:
    """Draw what was said against what was seen."""
    return _by_row(report, panels, _reliability, "Whether probabilities are honest")


def _by_row(
    report: EvaluationReport, panels: Sequence[Panel], draw: Callable[[Axes, Result, float | None], None], title: str
) -> Figure:
    """A row of panels for each detector and the fusion, a column for each subset and level."""
    rows = detector_rows(report)
    figure = figure_of(max(4.2, 0.6 + 3.0 * len(panels)), 0.8 + 3.0 * len(rows), report, title)
    for at, row in enumerate(rows):
        for column, panel in enumerate(panels):
            axes = figure.add_subplot(len(rows), len(panels), at * len(panels) + column + 1)
            paper(axes, panel)
            axes.set_title(f"{row}\n{axes.get_title(loc='left')}", loc="left", fontsize=9, color=INK)
            found = report.result(panel[0], row, panel[1])
            facts = report.row(row)
            if found is None or found.shape is None:
                nothing(axes, "not ranked")
            else:
                draw(axes, found, facts.threshold if facts else None)
    return figure


def _scores(axes: Axes, result: Result, threshold: float | None) -> None:
    """Both labels' probabilities, each label adding up to 1."""
    if result.shape is None:
        return
    for label, counts, colour, hatch in (
        ("real", result.shape.reals, _REAL, None),
        ("fake", result.shape.fakes, _FAKE, "////"),
    ):
        edges = [at / len(counts) for at in range(len(counts) + 1)]
        shares = [count / sum(counts) for count in counts]
        axes.stairs(shares, edges, color=colour, linewidth=1.6, label=label)
        axes.stairs(shares, edges, fill=True, facecolor=colour, alpha=0.25, hatch=hatch, edgecolor=colour, linewidth=0)
    if threshold is not None:
        axes.axvline(threshold, color=INK, linewidth=1.1, linestyle=SIZE_ALONE, label=f"threshold {threshold:.2f}")
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("probability of fake", color=FAINT, fontsize=9)
    axes.set_ylabel("share of the label", color=FAINT, fontsize=9)
    legend_below(axes, 3)


def _reliability(axes: Axes, result: Result, threshold: float | None) -> None:
    """What was said against what was seen, as shipped and calibrated."""
    del threshold
    if result.shape is None or not result.shape.before:
        nothing(axes, "too few files")
        return
    metrics = result.metrics
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.0, linestyle=CHANCE)
    for label, bins, error, colour, mark in (
        ("as shipped", result.shape.before, metrics.calibration_error_before, COLOURS[1], "s"),
        ("calibrated", result.shape.after, metrics.calibration_error_after, COLOURS[0], "o"),
    ):
        said = f"{label}, ECE {error.value:.3f}" if error is not None else label
        _bins(axes, bins, said, colour, mark)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("probability said (mean of a bin)", color=FAINT, fontsize=9)
    axes.set_ylabel("fakes seen (share)", color=FAINT, fontsize=9)
    legend_below(axes)


def _bins(axes: Axes, bins: Sequence[Bin], label: str, colour: str, mark: str) -> None:
    """A line through the bins, its marks as large as their share of the samples."""
    said, seen = [each.said for each in bins], [each.seen for each in bins]
    axes.plot(said, seen, color=colour, linewidth=1.4, marker=mark, markersize=4, label=label)
    axes.scatter(
        said,
        seen,
        s=[14 + 160 * each.share for each in bins],
        color=colour,
        marker=mark,
        alpha=0.85,
        edgecolors="white",
        linewidths=0.7,
        zorder=3,
        clip_on=False,
    )
