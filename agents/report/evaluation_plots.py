"""An evaluation as pictures: what separates, ROC curves, scores, reliability and robustness. All from the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from agents.report.evaluation import STEPS
from agents.report.evaluation_paper import (
    CHANCE,
    COLOURS,
    FAINT,
    GRID,
    INK,
    MARKS,
    SIZE_ALONE,
    Panel,
    detector_rows,
    figure_of,
    legend_below,
    panels_of,
    paper,
    results_of,
    strip,
    with_legend,
)
from agents.report.evaluation_probabilities import draw_reliability, draw_scores
from models.evaluation.lineup import FACE_SIZE, FUSED
from models.evaluation.report import EvaluationReport, Judgement, Robustness

_JUDGED: Mapping[Judgement, tuple[str, str]] = {
    Judgement.SEPARATES: ("#0072b2", "o"),
    Judgement.DOES_NOT: ("#d98300", "s"),
    Judgement.WRONG_WAY: ("#b3261e", "X"),
    Judgement.TOO_FEW: ("#9aa1ad", "D"),
}
_WITHIN = (0, (3, 1.2))
"""Dashes of the fusion: of a single detector it is the same line, and both are seen."""
_UNITS: Mapping[str, str] = {
    "jpeg": "quality, lower is worse",
    "h264": "CRF, higher is worse",
    "downscale": "factor of each side",
}


def write_plots(report: EvaluationReport, folder: Path) -> tuple[tuple[str, str], ...]:
    """Write the pictures as PNG, in the view that counts; one that would be empty is left out.

    Returns:
        Title and file name of each.

    Raises:
        OSError: they cannot be written.
    """
    drawn: list[tuple[str, str, Figure]] = []
    panels = tuple(dict.fromkeys((each.subset, each.level) for each in results_of(report)))
    if panels:
        drawn.append(("What separates", "auc.png", _separation(report, panels)))
        drawn.append(("ROC curves", "roc.png", _roc(report, panels)))
    if any(each.shape is not None and each.shape.reals for each in results_of(report)):
        drawn.append(("Scores", "scores.png", draw_scores(report, panels)))
    honest = tuple(
        panel for panel in panels if any(each.shape and each.shape.before for each in results_of(report, panel))
    )
    if honest:
        drawn.append(("Reliability", "reliability.png", draw_reliability(report, honest)))
    if report.robustness:
        drawn.append(("Robustness", "robustness.png", _robustness(report)))
    for _, name, figure in drawn:
        figure.savefig(folder / name, format="png")
    return tuple((title, name) for title, name, _ in drawn)


def _separation(report: EvaluationReport, panels: Sequence[Panel]) -> Figure:
    """AUC and interval of every row that has an answer, beside chance and the face's size."""
    most = max(len(results_of(report, panel)) for panel in panels)
    figure, grid = panels_of(report, len(panels), 1.3 + 0.26 * most, "What separates fakes from reals")
    for axes, panel in zip(grid, panels, strict=True):
        paper(axes, panel)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.axvline(0.5, color=FAINT, linewidth=1.0, linestyle=CHANCE)
        results = results_of(report, panel)
        for place, result in enumerate(results):
            auc, (colour, mark) = result.metrics.auc, _JUDGED[result.judgement]
            if auc.low is not None and auc.high is not None:
                axes.plot([auc.low, auc.high], [place, place], color=colour, linewidth=2.0, solid_capstyle="butt")
            axes.plot([auc.value], [place], mark, color=colour, markersize=6, markeredgecolor="white", clip_on=False)
            if result.row == FACE_SIZE:
                axes.axvline(auc.value, color=INK, linewidth=1.1, linestyle=SIZE_ALONE, zorder=1)
        axes.set_yticks(range(len(results)), [each.row for each in results])
        axes.set_ylim(len(results) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.set_xlabel("AUC with 95 % interval", color=FAINT, fontsize=9)
    handles = [
        Line2D([], [], color=colour, marker=mark, linewidth=2, label=str(judgement))
        for judgement, (colour, mark) in _JUDGED.items()
    ]
    return with_legend(figure, [*handles, *_compared()])


def _roc(report: EvaluationReport, panels: Sequence[Panel]) -> Figure:
    figure, grid = panels_of(report, len(panels), 4.6, "ROC curves")
    detectors = detector_rows(report)
    for axes, panel in zip(grid, panels, strict=True):
        paper(axes, panel)
        axes.grid(color=GRID, linewidth=0.8)
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.0, linestyle=CHANCE)
        for result in results_of(report, panel):
            if result.shape is None:
                continue
            is_size = result.row == FACE_SIZE
            colour = INK if is_size else COLOURS[detectors.index(result.row) % len(COLOURS)]
            x, y = zip(*result.shape.roc, strict=True)
            axes.plot(
                x,
                y,
                color=colour,
                linewidth=1.3 if is_size else 2.0,
                linestyle=SIZE_ALONE if is_size else _WITHIN if result.row == FUSED else "-",
                label=f"{'face size alone' if is_size else result.row}, AUC {result.metrics.auc.value:.3f}",
                clip_on=False,
            )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("reals taken for fakes (share)", color=FAINT, fontsize=9)
        axes.set_ylabel("fakes found (share)", color=FAINT, fontsize=9)
        legend_below(axes, gap=0.12)
    return figure


def _robustness(report: EvaluationReport) -> Figure:
    """A row of panels for each subset, a column for each kind of degradation, a line for each detector."""
    subsets = list(dict.fromkeys(each.subset for each in report.robustness))
    figure = figure_of(11.0, 1.4 + 2.5 * len(subsets), report, "How much is left after compression and reduction")
    for at, subset in enumerate(subsets):
        for column, kind in enumerate(STEPS):
            axes = figure.add_subplot(len(subsets), len(STEPS), at * len(STEPS) + column + 1)
            _curves(axes, [each for each in report.robustness if each.subset == subset], kind, report)
            axes.set_title(f"{subset}: {STEPS[kind]}", loc="left", fontsize=9.5, color=INK)
            axes.set_ylabel("AUC with 95 % interval" if column == 0 else "", color=FAINT, fontsize=9)
    handles = [
        Line2D(
            [],
            [],
            color=COLOURS[at % len(COLOURS)],
            marker=MARKS[at % len(MARKS)],
            linestyle=_WITHIN if name == FUSED else "-",
            label=name,
        )
        for at, name in enumerate(detector_rows(report))
    ]
    return with_legend(figure, [*handles, *_compared()])


def _curves(axes: Axes, points: Sequence[Robustness], kind: str, report: EvaluationReport) -> None:
    strip(axes)
    values = list(dict.fromkeys(each.value for each in points if each.kind == kind))
    axes.axhline(0.5, color=FAINT, linewidth=1.0, linestyle=CHANCE)
    for size in (each for each in points if each.row == FACE_SIZE):
        axes.axhline(size.auc.value, color=INK, linewidth=1.1, linestyle=SIZE_ALONE)
    for at, name in enumerate(detector_rows(report)):
        line = [each for each in points if each.row == name and each.kind in {"none", kind}]
        places = [0 if each.kind == "none" else 1 + values.index(each.value) for each in line]
        colour, mark = COLOURS[at % len(COLOURS)], MARKS[at % len(MARKS)]
        axes.plot(
            places,
            [each.auc.value for each in line],
            color=colour,
            marker=mark,
            markersize=5,
            linewidth=1.8,
            linestyle=_WITHIN if name == FUSED else "-",
            markeredgecolor="white",
            clip_on=False,
            zorder=3,
        )
        told = [
            (place, each.auc.low, each.auc.high)
            for place, each in zip(places, line, strict=True)
            if each.auc.low is not None and each.auc.high is not None
        ]
        if told:
            where, low, high = zip(*told, strict=True)
            axes.fill_between(where, low, high, color=colour, alpha=0.13, linewidth=0)
    axes.set_xticks(range(len(values) + 1), ["none", *(f"{value:g}" for value in values)])
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_ylim(0, 1)
    axes.set_xlim(-0.15, len(values) + 0.15)
    axes.set_xlabel(_UNITS[kind], color=FAINT, fontsize=9)


def _compared() -> tuple[Line2D, Line2D]:
    return (
        Line2D([], [], color=INK, linestyle=SIZE_ALONE, linewidth=1.1, label="face size alone"),
        Line2D([], [], color=FAINT, linestyle=CHANCE, linewidth=1.0, label="chance"),
    )
