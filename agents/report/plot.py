"""A verdict as a picture: frame scores over time, suspicious segments, and the top frame with its faces."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from models.heat import unpack
from models.pictures import shown
from schemas.media import ContentType
from schemas.verdict import Axis, FaceAnalysis, FrameAnalysis, HeatMap, Label, RiskLevel, Verdict

Image = NDArray[np.uint8]

_DPI = 150
_MOST_OPAQUE = 0.65
"""Of the colour laid over the hottest cells of a face."""
_SIZE = (12.0, 4.8)
"""Inches: 1800 by 720 pixels."""
_INK, _FAINT, _GRID = "#1f2430", "#7a8190", "#e6e8ee"
_LABELS: Mapping[Label, str] = {
    Label.AUTHENTIC: "#1a8754",
    Label.MANIPULATED: "#c62839",
    Label.INCONCLUSIVE: "#b7791f",
}
_TRACKS = ("#2f6fde", "#e0702b", "#7b4fc4", "#1b9e8a", "#c2417f", "#8a6d1d")
"""Told apart by most people who see colours differently, and none of them the red of suspicion."""
_SEVERITY: Mapping[RiskLevel, float] = {
    RiskLevel.LOW: 0.08,
    RiskLevel.MEDIUM: 0.12,
    RiskLevel.HIGH: 0.18,
    RiskLevel.CRITICAL: 0.26,
}
"""How strongly a suspicious segment is shaded."""
_SUSPICION = "#c62839"
_LONGEST_NAME = 64
"""Characters of a content id that fit beside the label."""
_DASHES: Mapping[Axis, tuple[int, tuple[int, ...]]] = {
    Axis.MANIPULATION: (0, (6, 3)),
    Axis.SYNTHETIC: (0, (2, 2)),
    Axis.LIVENESS: (0, (1, 3)),
}
_AXIS_NAMES: Mapping[Axis, str] = {
    Axis.MANIPULATION: "altered face",
    Axis.SYNTHETIC: "synthetic face",
    Axis.LIVENESS: "held to a camera",
}
_DECIDING = (Axis.MANIPULATION, Axis.SYNTHETIC)


def top_frame(verdict: Verdict) -> FrameAnalysis | None:
    """Return the frame to show: the most suspicious one, else the first with a face, else the first."""
    scored = [frame for frame in verdict.frames if frame.score is not None]
    if scored:
        return max(scored, key=lambda frame: (frame.score or 0.0, -frame.pts_ms))
    return next((frame for frame in verdict.frames if frame.faces), next(iter(verdict.frames), None))


def write_plot(verdict: Verdict, picture: Image | None, path: Path) -> None:
    """Write the picture of a verdict as PNG.

    Args:
        verdict: best with `detailed_timeline`: only the frames that it carries are drawn.
        picture: uint8 [H, W, 3] RGB, the frame that `top_frame` names; without it nothing is shown beside the scores.
        path: where to.

    Raises:
        OSError: it cannot be written.
    """
    figure = Figure(figsize=_SIZE, dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    ratios = (2.1, 1.0) if picture is not None else (1.0,)
    grid = figure.add_gridspec(
        1, len(ratios), width_ratios=ratios, left=0.065, right=0.985, top=0.79, bottom=0.14, wspace=0.06
    )
    scores = figure.add_subplot(grid[0, 0])
    if verdict.content_type is ContentType.VIDEO:
        _timeline(scores, verdict)
    else:
        _bars(scores, verdict)
    if picture is not None:
        _picture(figure.add_subplot(grid[0, 1]), verdict, picture)
    _heading(figure, verdict)
    figure.savefig(path, format="png")


def _heading(figure: Figure, verdict: Verdict) -> None:
    name = verdict.content_id
    shown = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    figure.text(0.065, 0.925, shown, fontsize=15, fontweight="bold", color=_INK, va="center")
    figure.text(
        0.985,
        0.925,
        verdict.label.upper(),
        fontsize=15,
        fontweight="bold",
        color=_LABELS[verdict.label],
        ha="right",
        va="center",
    )
    said = verdict.reason or verdict.recommendation.reason
    figure.text(0.065, 0.855, said, fontsize=9.5, color=_FAINT, va="center")


def _timeline(axes: Axes, verdict: Verdict) -> None:
    """Draw the scores of each track over time."""
    _paper(axes)
    for number, segment in enumerate(verdict.suspicious_segments):
        axes.axvspan(
            segment.start_s,
            segment.end_s,
            color=_SUSPICION,
            alpha=_SEVERITY[segment.severity],
            linewidth=0,
            zorder=1,
            label=None if number else "suspicious",
        )
    tracks = _track_scores(verdict)
    for number, points in sorted(tracks.items()):
        times, values = zip(*points, strict=True)
        colour = _colour(number)
        # Of a crowd the first are named: after them the colours begin anew.
        label = f"face {number + 1}" if number < len(_TRACKS) else None
        axes.plot(times, values, color=colour, linewidth=1.8, zorder=3, label=label, clip_on=False)
        axes.scatter(times, values, s=26, color=colour, edgecolors="white", linewidths=0.8, zorder=4, clip_on=False)
    _thresholds(axes, verdict)
    unscored = [frame.pts_ms / 1000 for frame in verdict.frames if frame.score is None]
    if unscored:
        axes.scatter(
            unscored,
            [0.0] * len(unscored),
            marker="|",
            s=40,
            color=_FAINT,
            zorder=4,
            label="no face judged",
            clip_on=False,
        )
    end_s = verdict.media.duration_s if verdict.media is not None else 0.0
    axes.set_xlim(0.0, max([end_s, 0.04, *(frame.pts_ms / 1000 for frame in verdict.frames)]))
    axes.set_ylim(0.0, 1.0)
    axes.set_xlabel("seconds", color=_FAINT, fontsize=9.5)
    axes.set_ylabel("score", color=_FAINT, fontsize=9.5)
    if tracks or unscored:
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 1.005),
            ncols=len(_TRACKS) + 2,
            frameon=False,
            fontsize=8.5,
            labelcolor=_INK,
            handlelength=1.4,
            columnspacing=1.2,
            borderaxespad=0.0,
        )
    else:
        _nothing(axes, "no frame was scored")


def _bars(axes: Axes, verdict: Verdict) -> None:
    """Draw the detectors' scores of a still, one bar each."""
    _paper(axes)
    bars = [
        (f"{detector.detector} ({_AXIS_NAMES[axis.axis]})", detector.score, detector.threshold)
        for axis in verdict.axes
        for detector in axis.detectors
    ]
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel("score", color=_FAINT, fontsize=9.5)
    axes.set_yticks([])
    axes.grid(axis="x", color=_GRID, linewidth=0.8)
    if not bars:
        _nothing(axes, "no face was judged")
        return
    for place, (name, score, threshold) in enumerate(bars):
        colour = _SUSPICION if score >= threshold else _TRACKS[0]
        axes.text(0.0, place - 0.21, name, va="bottom", fontsize=10, color=_INK)
        axes.barh(place, score, height=0.3, color=colour, zorder=3)
        axes.plot([threshold] * 2, [place - 0.2, place + 0.2], color=_INK, linewidth=1.6, zorder=4)
        axes.text(
            threshold, place + 0.22, f"threshold {threshold:.2f}", ha="center", va="top", fontsize=8.5, color=_INK
        )
        inside = score > 0.9
        axes.text(
            score + (-0.01 if inside else 0.01),
            place,
            f"{score:.2f}",
            ha="right" if inside else "left",
            va="center",
            fontsize=12,
            fontweight="bold",
            color="white" if inside else colour,
            zorder=5,
        )
    # Room for at least two, so that a single bar is not a wall.
    middle, half = (len(bars) - 1) / 2, max(1.0, len(bars) / 2)
    axes.set_ylim(middle + half, middle - half)


def _thresholds(axes: Axes, verdict: Verdict) -> None:
    for axis in verdict.axes:
        if axis.axis not in _DECIDING:
            continue
        axes.axhline(axis.threshold, color=_INK, linewidth=1.1, linestyle=_DASHES[axis.axis], zorder=2)
        axes.annotate(
            f"threshold {axis.threshold:.2f}, {_AXIS_NAMES[axis.axis]}",
            (0.0, axis.threshold),
            xytext=(5, 3),
            textcoords="offset points",
            fontsize=8.5,
            color=_INK,
            zorder=5,
        )


def _picture(axes: Axes, verdict: Verdict, picture: Image) -> None:
    """Show the top frame: a box around each face in its track's colour, and over it where it looks altered."""
    axes.imshow(picture, interpolation="antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_anchor("E")
    for spine in axes.spines.values():
        spine.set_visible(False)
    height, width = picture.shape[:2]
    frame = top_frame(verdict)
    if frame is None:
        return
    deciding = _deciding_detectors(verdict)
    for face in frame.faces:
        if face.heat is not None:
            _heat(axes, face.heat, width, height)
        box = face.box
        colour = _colour(face.track)
        x, y = box.x * width, box.y * height
        axes.add_patch(
            Rectangle((x, y), box.width * width, box.height * height, fill=False, edgecolor=colour, linewidth=2.2)
        )
        score = _face_score(face, deciding)
        axes.text(
            x,
            y,
            "not judged" if score is None else f"{score:.2f}",
            fontsize=9,
            fontweight="bold",
            color="white",
            va="bottom",
            bbox={"facecolor": colour, "edgecolor": colour, "pad": 1.6, "linewidth": 2.2},
        )
    if verdict.content_type is ContentType.VIDEO:
        axes.set_xlabel(f"highest score, {frame.pts_ms / 1000:.2f} s", color=_FAINT, fontsize=9.5)


def _heat(axes: Axes, heat: HeatMap, width: int, height: int) -> None:
    """Lay a map over its part of the picture: the hotter, the more yellow and the less of the face."""
    cells = shown(unpack(heat.cells))
    left, top = heat.left * width, heat.top * height
    right, bottom = left + heat.width * width, top + heat.height * height
    axes.imshow(
        cells,
        cmap="plasma",
        vmin=0.0,
        vmax=1.0,
        alpha=_MOST_OPAQUE * cells,
        extent=(left, right, bottom, top),
        interpolation="bilinear",
        zorder=1,
    )
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)


def _paper(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
    axes.tick_params(colors=_FAINT, labelsize=9, length=0)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _nothing(axes: Axes, why: str) -> None:
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", fontsize=12, color=_FAINT)


def _track_scores(verdict: Verdict) -> Mapping[int, Sequence[tuple[float, float]]]:
    """Return seconds and score of each judged face, by track, in order of time."""
    deciding = _deciding_detectors(verdict)
    tracks: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for frame in sorted(verdict.frames, key=lambda frame: frame.pts_ms):
        for face in frame.faces:
            score = _face_score(face, deciding)
            if score is not None:
                tracks[face.track].append((frame.pts_ms / 1000, score))
    return tracks


def _deciding_detectors(verdict: Verdict) -> frozenset[str]:
    return frozenset(
        detector.detector for axis in verdict.axes if axis.axis in _DECIDING for detector in axis.detectors
    )


def _face_score(face: FaceAnalysis, deciding: frozenset[str]) -> float | None:
    return max((score for name, score in face.scores.items() if name in deciding), default=None)


def _colour(track: int) -> str:
    return _TRACKS[track % len(_TRACKS)]
