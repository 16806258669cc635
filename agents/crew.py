"""Workers that are kept running: watched, and started again by a policy."""

import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agents.restarts import RestartPolicy
from agents.supervision import Worker

_log = logging.getLogger(__name__)


class Running(Protocol):
    """A worker's process, as far as watching it needs it."""

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A worker that is not started again, and so ends the crew."""

    worker: Worker
    how: str
    """How it ended, in words that follow its label."""
    code: int
    """Its exit code; 0 or below where it has none of its own."""
    ends: int
    """How often it has ended within the policy's time."""


@dataclass(slots=True)
class _Post:
    worker: Worker
    process: Running | None = None
    ends: list[float] = field(default_factory=list)
    due: float = 0.0
    """When to start it, while it has no process; seconds of the clock."""


class Crew:
    """Workers of one command. All of it belongs to the thread that starts processes.

    Args:
        workers: one process each.
        policy: when one is started again.
        start: starts one.
        hindrance: says why one cannot run now (its GPU is gone), or nothing; asked before it is started again, and
            an answer counts as an end.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        policy: RestartPolicy,
        start: Callable[[Worker], Running],
        hindrance: Callable[[Worker], str],
        clock: Callable[[], float],
    ) -> None:
        self._posts = [_Post(worker) for worker in workers]
        self._policy = policy
        self._start = start
        self._hindrance = hindrance
        self._clock = clock

    def look(self) -> GivenUp | None:
        """Start who is due, note who has ended; return the worker that is given up, if any. To be called often."""
        for post in self._posts:
            if post.process is None and self._clock() >= post.due:
                hindrance = self._hindrance(post.worker) if post.ends else ""
                if not hindrance:
                    post.process = self._start(post.worker)
                elif (given_up := self._ended(post, f"cannot be started again: {hindrance}", None)) is not None:
                    return given_up
            elif post.process is not None and (code := post.process.returncode) is not None:
                post.process = None
                if (given_up := self._ended(post, in_words(code), code)) is not None:
                    return given_up
        return None

    def _ended(self, post: _Post, how: str, code: int | None) -> GivenUp | None:
        now = self._clock()
        post.ends.append(now)
        pause_s = self._policy.pause_s(post.ends, code)
        if pause_s is None:
            return GivenUp(post.worker, how, code or 0, self._policy.recent(post.ends))
        post.due = now + pause_s
        policy = self._policy
        _log.warning(
            "%s %s; next start in %g s (end %d of at most %d within %g min)",
            *(post.worker.label, how, pause_s, policy.recent(post.ends), policy.most_ends, policy.within_s / 60),
        )
        return None


def in_words(code: int) -> str:
    """Return how a process ended, in words that follow its name."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
