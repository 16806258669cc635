"""A training as a picture: loss, accuracy and validation AUC over the steps."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agents.report.evaluation_paper import COLOURS, FAINT, GRID, INK, strip
from models.evaluation.card_parts import Curves


def write_training(curves: Curves, name: str, path: Path) -> None:
    """Write the curves as PNG.

    Raises:
        OSError: it cannot be written.
    """
    figure = Figure(figsize=(8.0, 2.9), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"Training of {name}", x=0.01, ha="left", fontsize=11, color=INK)
    steps = [point.step for point in curves.points]
    validated = [(point.step, point.validation_auc) for point in curves.points if point.validation_auc is not None]
    left, right = figure.subplots(1, 2)
    left.plot(steps, [point.loss for point in curves.points], color=COLOURS[0], linewidth=1.6)
    left.set_ylabel("loss (mean since the point before)", color=FAINT, fontsize=8.5)
    right.plot(
        steps, [point.accuracy for point in curves.points], color=COLOURS[0], linewidth=1.6, label="right, training"
    )
    if validated:
        x, y = zip(*validated, strict=True)
        right.plot(x, y, color=COLOURS[1], linewidth=1.6, marker="o", markersize=4, label="AUC, faces kept apart")
    right.set_ylabel("share", color=FAINT, fontsize=8.5)
    right.legend(loc="lower right", frameon=False, fontsize=8, labelcolor=INK)
    for axes in (left, right):
        strip(axes)
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_xlabel("steps", color=FAINT, fontsize=8.5)
    figure.savefig(path, format="png")
