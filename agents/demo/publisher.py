"""Somebody who publishes a clip to a live server, over and over, at the pace of a camera."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import Literal, Self

from agents.local import launch

PublisherState = Literal["connecting", "publishing", "refused", "ended"]


class Publisher:
    """Publishes while it is entered, in a process of its own. One that is refused or dropped tries again, or ends.

    A process, since FFmpeg holds the interpreter's lock while it connects: whoever is to let it in could not answer.

    Args:
        clip: a video file, whose pictures are sent, or one of sound alone; packets are sent as they are.
        url: where to, `rtmp://…/application/name`.
        again_after_s: after how long it connects again; none ends it.
    """

    def __init__(self, clip: Path, url: str, again_after_s: float | None = None) -> None:
        self.url = url
        self._command = [str(clip), url, str(-1 if again_after_s is None else again_after_s)]
        self._changed = Condition()
        self._state: PublisherState = "connecting"
        self._refusals = 0
        self._sent = 0
        self._started_at = 0.0
        self._detail = ""
        self._process: subprocess.Popen[str] | None = None
        self._thread = Thread(target=self._publish, name=f"publisher of {url}", daemon=True)

    @property
    def state(self) -> PublisherState:
        """How it goes: `refused` also means dropped, and stands until it tries again."""
        with self._changed:
            return self._state

    @property
    def refusals(self) -> int:
        """How often the server refused or dropped it."""
        with self._changed:
            return self._refusals

    @property
    def detail(self) -> str:
        """What was said at the last refusal."""
        with self._changed:
            return self._detail

    @property
    def sent(self) -> int:
        """Packets that the server has taken on the present connection, a fifth of a second ago."""
        with self._changed:
            return self._sent

    @property
    def started_at(self) -> float:
        """When the packet of time 0 was due on the present connection, seconds since 1970; 0 before the first."""
        with self._changed:
            return self._started_at

    def await_publishing(self, timeout_s: float = 30.0) -> None:
        """Wait until the server has taken packets.

        Raises:
            TimeoutError: it has not.
        """
        self._await(lambda: self._state == "publishing", "publishing", timeout_s)

    def await_refused(self, times: int = 1, timeout_s: float = 30.0) -> None:
        """Wait until it was refused or dropped so often.

        Raises:
            TimeoutError: it was not.
        """
        self._await(lambda: self._refusals >= times, f"refused {times} times", timeout_s)

    def _await(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout_s):
                raise TimeoutError(f"{self.url}: not {what} within {timeout_s:g} s, but {self._state}: {self._detail}")

    def _publish(self) -> None:
        """Run the process and follow what it says. The kernel kills it when this thread ends, see `launch`."""
        tether = [str(Path(launch.__file__)), str(os.getpid()), str(int(signal.SIGKILL)), "-", "-"]
        program = [sys.executable, "-m", "agents.demo.publishing", *self._command]
        with subprocess.Popen(  # noqa: S603  (our own program, no shell)
            [sys.executable, "-I", "-S", *tether, *program],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        ) as process:
            with self._changed:
                self._process = process
                self._changed.notify_all()
            for line in process.stdout or ():
                self._note(*line.rstrip().partition(" ")[::2])
        with self._changed:
            self._state = "ended"
            self._changed.notify_all()

    def _note(self, word: str, rest: str) -> None:
        with self._changed:
            if word == "publishing":
                self._state, self._sent = "publishing", int(rest)
            elif word == "started":
                self._started_at = float(rest)
            elif word == "refused":
                self._state, self._detail = "refused", rest
                self._refusals += 1
            else:
                self._state = "connecting"
            self._changed.notify_all()

    def stop(self) -> None:
        """End publishing."""
        with self._changed:
            self._changed.wait_for(lambda: self._process is not None)
        if self._process is not None:
            self._process.kill()
        self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
