"""Running `fleet` as a user does: as a process, whose descendants are watched to the last."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep

from agents.local.processes import await_gone, children_of
from agents.runtime.deadline import Deadline

_FLEET = (str(Path(sys.executable).with_name("fleet")),)
"""The script and not `-m agents.cli`: after `-m`, CPython 3.11 ends by SIGINT itself where a KeyboardInterrupt passed
through an `exec` of text, although it was caught later (Modules/main.c, unhandled_keyboard_interrupt)."""


def fleet_environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment, with these settings of the fleet and no others."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("FLEET_")}
    return {**own, "COLUMNS": "100", "NO_COLOR": "1", **(variables or {})}


def run_fleet(
    *arguments: str, variables: Mapping[str, str] | None = None, timeout_s: float = 90.0
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [*_FLEET, *arguments],
        env=fleet_environment(variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@dataclass
class Command:
    """A command that runs, and every process that it ever started."""

    process: "subprocess.Popen[bytes]"
    log: Path
    family: set[int] = field(default_factory=set)

    @property
    def said(self) -> str:
        """What it has written so far, both streams."""
        return self.log.read_text()

    def await_said(self, text: str, times: int = 1, timeout_s: float = 60.0) -> None:
        """Wait until it has written `text` so many times."""
        deadline = Deadline.after(timeout_s)
        while self.said.count(text) < times:
            if deadline.expired or self.process.poll() is not None:
                raise AssertionError(f"it did not say {text!r} {times} times; it said:\n{self.said}")
            sleep(0.02)

    def end(self, timeout_s: float = 60.0) -> int:
        """Wait for its end and return its status."""
        return self.process.wait(timeout_s)

    def left_behind(self, within_s: float = 5.0) -> tuple[int, ...]:
        """Return descendants that are still alive after so many seconds."""
        return await_gone(tuple(self.family), within_s)

    def watch(self) -> None:
        """Note its descendants for as long as it lives."""
        while self.process.poll() is None:
            self.note_family()
            sleep(0.05)

    def note_family(self) -> None:
        """Note who descends from it now. A child of init is nobody's: it was noted while its parent lived."""
        level: tuple[int, ...] = (self.process.pid,)
        while level:
            level = tuple(child for parent in level for child in children_of(parent))
            self.family.update(level)

    def descendants(self, words: str) -> list[int]:
        """Return the descendants that live now and have these words in their command line."""
        self.note_family()
        found = []
        for pid in self.family:
            with suppress(OSError):
                if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
                    found.append(pid)
        return found

    def descendant(self, words: str) -> int:
        """Return a descendant with these words in its command line.

        Raises:
            LookupError: there is none.
        """
        found = self.descendants(words)
        if not found:
            raise LookupError(f"no process with {words!r} in its command line")
        return found[0]


@contextmanager
def started_fleet(log: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> Iterator[Command]:
    """Start a command, watch its descendants, and kill what is left of it."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_FLEET, *arguments],
            env=fleet_environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    command = Command(process, log)
    watcher = threading.Thread(target=command.watch, daemon=True)
    watcher.start()
    try:
        yield command
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        watcher.join()
