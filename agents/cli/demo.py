"""`fleet demo` and `fleet demo-live`: the whole way once, on this machine."""

from pathlib import Path

from agents.cli.console import OUT
from agents.demo.live import run_live
from agents.demo.live_view import LiveView
from agents.demo.run import run
from agents.demo.view import DemoView


def demo(keep: Path | None, timeout_s: float, started: float) -> None:
    """Run the demo; `started` is when the command began, on the monotonic clock.

    Raises:
        Exception: as `agents.demo.run.run` does; each has an exit code.
    """
    run(DemoView(OUT, started), keep=keep, timeout_s=timeout_s)


def demo_live(keep: Path | None, timeout_s: float, started: float) -> None:
    """Run the live demo; `started` is when the command began, on the monotonic clock.

    Raises:
        Exception: as `agents.demo.live.run_live` does; each has an exit code.
    """
    run_live(LiveView(OUT, started), keep=keep, timeout_s=timeout_s)
