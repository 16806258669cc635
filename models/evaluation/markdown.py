"""Figures and tables in Markdown, alike in reports and cards."""

from collections.abc import Iterable, Sequence

from models.evaluation.report import Estimate


def document(*parts: str) -> str:
    """Join paragraphs, headings and tables; empty ones are left out."""
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, words: int = 1) -> str:
    """Return a table; empty without rows.

    Args:
        head: the headings.
        rows: as many cells each.
        words: how many columns, from the left, hold words; the others hold figures and are aligned to the right.
    """
    lines = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    if not lines:
        return ""
    rule = ["---" if at < words else "---:" for at in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [list(head), rule, *lines])


def figure(estimate: Estimate | None) -> str:
    """Return a figure with its interval, such as `0.871 (0.830-0.910)`; a dash where there is none."""
    if estimate is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f}-{estimate.high:.3f})"


def difference(estimate: Estimate | None) -> str:
    """Return a difference with its interval, such as `+0.120 (+0.052 to +0.190)`; a dash where there is none."""
    if estimate is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:+.3f}"
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"
