"""A verdict as a card: everything that a person asks first, on a screenful."""

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agents.report.wording import counted
from schemas.media import MediaInfo
from schemas.verdict import (
    Axis,
    AxisScore,
    Label,
    Outcome,
    QualityMetrics,
    Recommendation,
    RecommendedAction,
    RiskLevel,
    SuspiciousSegment,
    Timings,
    Verdict,
)

LABEL_STYLES: Mapping[Label, str] = {
    Label.AUTHENTIC: "bold green",
    Label.MANIPULATED: "bold red",
    Label.INCONCLUSIVE: "bold yellow",
}
RISK_STYLES: Mapping[RiskLevel, str] = {
    RiskLevel.LOW: "green",
    RiskLevel.MEDIUM: "yellow",
    RiskLevel.HIGH: "red",
    RiskLevel.CRITICAL: "bold red",
}
ACTION_STYLES: Mapping[RecommendedAction, str] = {
    RecommendedAction.ALLOW: "green",
    RecommendedAction.REVIEW: "yellow",
    RecommendedAction.BLOCK: "bold red",
}
_ROLES: Mapping[Axis, frozenset[str]] = {
    Axis.MANIPULATION: frozenset({"screen", "primary"}),
    Axis.SYNTHETIC: frozenset({"synthetic"}),
}
"""The roles whose models judge an axis; liveness is shown only where it was judged."""
_QUESTIONS: Mapping[Axis, str] = {
    Axis.MANIPULATION: "altered face",
    Axis.SYNTHETIC: "synthetic face",
    Axis.LIVENESS: "held to a camera",
}
_BAR = 20


def verdict_card(verdict: Verdict, title: str | None = None) -> RenderableType:
    """Return a panel with the decision, the scores behind it, the advice, the evidence and the time it took."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(ratio=1)
    rows.add_row("label", _label(verdict))
    if verdict.outcome is Outcome.SCORED:
        for axis in Axis:
            answer = _axis(axis, verdict)
            if answer is not None:
                rows.add_row(_QUESTIONS[axis], answer)
        rows.add_row("confidence", _confidence(verdict))
    rows.add_row("advice", _advice(verdict.recommendation))
    for segment in verdict.suspicious_segments:
        rows.add_row("suspicious", _suspicious(segment))
    if verdict.quality is not None:
        rows.add_row("looked at", _evidence(verdict.quality))
        if verdict.quality.faces:
            rows.add_row("face quality", _quality(verdict.quality))
    if verdict.media is not None:
        rows.add_row("media", _media(verdict.media))
    rows.add_row("time", _time(verdict))
    return Panel(
        rows,
        title=Text(title or verdict.content_id, "bold"),
        title_align="left",
        subtitle=Text(f"verdict {verdict.verdict_id}", "dim"),
        subtitle_align="right",
        border_style=LABEL_STYLES[verdict.label].removeprefix("bold "),
        padding=(0, 1),
    )


def score_bar(score: float, threshold: float, style: str) -> Text:
    """Return a bar of `score`, 0 to 1, with a mark at the threshold."""
    filled = round(score * _BAR)
    mark = min(_BAR - 1, round(threshold * _BAR))
    bar = Text()
    for cell in range(_BAR):
        if cell == mark:
            bar.append("┃", "bold")
        else:
            bar.append("━", style if cell < filled else "bright_black")
    return bar


def _label(verdict: Verdict) -> Text:
    text = Text().append(verdict.label.upper(), LABEL_STYLES[verdict.label])
    if verdict.outcome is not Outcome.SCORED:
        text.append(f"  {verdict.outcome.replace('_', ' ')}", "bold")
    if verdict.reason is not None:
        text.append(f"  {verdict.reason}")
    if verdict.reused_from is not None:
        text.append(f"  (repeats verdict {verdict.reused_from} on the same bytes)", "dim")
    return text


def _axis(axis: Axis, verdict: Verdict) -> RenderableType | None:
    judged = next((each for each in verdict.axes if each.axis is axis), None)
    if judged is not None:
        return _judged(judged)
    if axis not in _ROLES:
        return None
    asked = any(model.role in _ROLES[axis] for model in verdict.models)
    return Text(
        "not judged: no face was good enough" if asked else "not judged: no such detector in this model set", "dim"
    )


def _judged(axis: AxisScore) -> RenderableType:
    over = axis.score >= axis.threshold
    style = "red" if over else "green"
    text = score_bar(axis.score, axis.threshold, style)
    text.append(f" {axis.score:.2f}", f"bold {style}")
    text.append(f" {'at or over' if over else 'under'} {axis.threshold:.2f}")
    detectors = [
        Text(f"{each.detector} {each.score:.2f} on {counted(each.faces, 'face')}", "dim") for each in axis.detectors
    ]
    return Group(text, *detectors)


def _confidence(verdict: Verdict) -> Text:
    text = Text(f"{verdict.confidence_score:.2f}")
    if verdict.risk_level is not None:
        text.append("  risk ", "dim")
        text.append(verdict.risk_level, RISK_STYLES[verdict.risk_level])
    for kind in verdict.manipulation_types:
        text.append(f"  kind {kind.kind.replace('_', ' ')} {kind.probability:.2f}", "dim")
    return text


def _advice(recommendation: Recommendation) -> RenderableType:
    text = Text().append(recommendation.action, ACTION_STYLES[recommendation.action])
    text.append(f"  {recommendation.reason}")
    checks = Table.grid(padding=(0, 1))
    for check in recommendation.checks:
        checks.add_row(Text("•", "dim"), Text(check, "dim"))
    return Group(text, checks) if recommendation.checks else text


def _suspicious(segment: SuspiciousSegment) -> Text:
    text = Text(f"{segment.start_s:.1f} to {segment.end_s:.1f} s  ")
    text.append(segment.severity, RISK_STYLES[segment.severity])
    text.append(f"  mean {segment.mean_score:.2f}, peak {segment.peak_score:.2f}, {counted(segment.frames, 'frame')}")
    return text


def _evidence(quality: QualityMetrics) -> str:
    said = f"{counted(quality.frames_analyzed, 'frame')}, {quality.frames_with_face} with a face"
    if quality.faces:
        said += (
            f"; {counted(quality.faces, 'face')} in {counted(quality.tracks, 'track')}, {quality.usable_faces} usable"
        )
    if quality.coverage < 1.0:
        said += f"; {quality.coverage:.0%} of the media could be read"
    return said


def _quality(quality: QualityMetrics) -> str:
    return (
        f"{quality.median_face_px:.0f} px, sharpness {quality.median_sharpness:.2f}, "
        f"exposure {quality.median_exposure:.2f} (medians)"
    )


def _media(media: MediaInfo) -> str:
    said = f"{media.codec} in {media.container}" if media.codec != media.container else media.codec
    said += f", {media.width}x{media.height}"
    if media.duration_s:
        said += f", {media.duration_s:.1f} s at {media.fps:g} fps"
    return f"{said}, {decimal(media.size_bytes)}"


def _time(verdict: Verdict) -> Text:
    text = Text(f"{verdict.processing_time_ms / 1000:.2f} s")
    text.append(f"  {stages(verdict.timings)}", "dim")
    return text


def stages(timings: Timings) -> str:
    """Return where the time went, seconds; what took less than five milliseconds is left out."""
    named = {
        "plan": timings.plan_ms,
        "queue": timings.queued_ms,
        "fetch": timings.fetch_ms,
        "decode": timings.decode_ms,
        "faces": timings.faces_ms,
        "score": timings.score_ms,
        "fuse": timings.fuse_ms,
    }
    return " · ".join(f"{name} {took / 1000:.2f}" for name, took in named.items() if took >= 5.0)
