"""`fleet policies`: which policies there are, who uses them, and what they say."""

from rich.table import Table

from agents.cli.console import OUT
from agents.policies import policy_book
from agents.settings import load_settings
from models.policy import Combination, Live, LiveAction, Policy


def list_all() -> None:
    """Show every version of every policy, and who uses it by the settings.

    Raises:
        SettingsInvalid: a setting cannot be.
        PolicyError: a file of policies cannot be used.
    """
    book = policy_book(load_settings().policies)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("policy", "version"):
        table.add_column(heading, no_wrap=True)
    table.add_column("used by")
    table.add_column("says")
    for policy in book.policies:
        current = book.latest(policy.name) is policy
        users = ", ".join(book.users(policy.name)) or "nobody"
        table.add_row(
            policy.name,
            str(policy.version),
            users if current else "[dim]segments in flight[/]",
            policy.description,
        )
    OUT.print(table)


def show(name: str) -> None:
    """Show one policy: by name the newest version, by `name/version` that one.

    Raises:
        SettingsInvalid: a setting cannot be.
        PolicyError: there is no such policy, or a file cannot be used.
    """
    book = policy_book(load_settings().policies)
    policy = book.find(name) if "/" in name else book.latest(name)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for label, value in _rows(policy).items():
        table.add_row(label, value)
    OUT.print(table)


def _rows(policy: Policy) -> dict[str, str]:
    own = ", ".join(f"{axis} {value:g}" for axis, value in policy.thresholds.items())
    target = policy.target_false_positives
    rest = "the detectors' own" if target is None else f"the detectors' own for {target:g} of real faces"
    bands = reversed(policy.risk_bands)
    return {
        "policy": f"[bold]{policy.reference}[/]",
        "for": policy.description,
        "combination": _combination(policy),
        "thresholds": f"{own}, else {rest}" if own else rest,
        "authentic below": f"{policy.authentic_below:g}, abstaining from there to the threshold",
        "a track": f"half its mean and half its highest {policy.top_share:.0%}, of at least {policy.min_faces} faces",
        "faces judged": f"at least {policy.min_usable_share:.0%} of all, for authentic",
        "full confidence": f"from {policy.full_evidence_faces} faces",
        "risk": ", ".join(f"{level} from {least:g}" for least, level in bands),
        "altered": ", ".join(f"{risk} {action}" for risk, action in policy.advice.manipulation.items()),
        "generated": ", ".join(f"{risk} {action}" for risk, action in policy.advice.synthetic.items()),
        "not live": policy.advice.liveness.value,
        "inconclusive": policy.advice.inconclusive.value,
        "live": _live(policy.live),
    }


def _live(live: Live) -> str:
    said = (
        f"{live.action}; alerts from {live.enter:g} held for {live.hold_s:g} s, cleared below {live.exit:g} for "
        f"{live.cooldown_s:g} s, of at least {live.min_faces} faces"
    )
    if live.action is LiveAction.BLOCK:
        fails = "nobody may publish" if live.fail_closed else "everybody may"
        said += f"; blocked from {live.block_from} risk for {live.block_s:g} s; if blocks cannot be read {fails}"
    return said


def _combination(policy: Policy) -> str:
    roles = ", ".join(f"{role} {weight:g}" for role, weight in policy.role_weights.items())
    if policy.combination is Combination.WEIGHTED:
        parts = ", ".join(f"{part} {weight:g}" for part, weight in policy.parts.items())
        return f"probabilities: {parts}; within the detectors logits by role: {roles}"
    learnt = "learnt weights of calibrated logits, else " if policy.learnt else "calibrated logits, "
    return f"{learnt}by role: {roles}"
