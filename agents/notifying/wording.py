"""An alert in words, for people."""

from schemas.moderation import Alert, Transition

_HAPPENED = {
    Transition.RAISED: "looks manipulated",
    Transition.ESCALATED: "looks worse than before",
    Transition.CLEARED: "is clear again",
}


def headline(alert: Alert) -> str:
    """Return what happened, in one line without control characters."""
    line = f"{alert.content_type} {alert.content_id} {_HAPPENED[alert.transition]} ({alert.risk_level} risk)"
    return "".join(character if character.isprintable() else "?" for character in line)


def facts(alert: Alert) -> str:
    """Return all that a moderator needs first, a line each."""
    lines = [
        headline(alert),
        "",
        alert.reason,
        "",
        f"score: {alert.score:.2f}",
        f"tenant: {alert.tenant}",
        f"at: {alert.at.isoformat(timespec='seconds')}",
        f"policy: {alert.policy}",
        f"alert: {alert.alert_id}",
    ]
    if alert.window is not None:
        lines.append(f"evidence: {alert.window.faces} faces in {alert.window.frames} frames")
    lines += [f"picture: {key}" for key in alert.evidence]
    return "\n".join(lines)
