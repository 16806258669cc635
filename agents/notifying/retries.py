"""When a delivery is tried again, and when it is given up. Pure: the time is passed in."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from topics.catalogue import ALERTS
from topics.exceptions import MessageInvalid
from topics.serialisation import Headers


@dataclass(frozen=True, slots=True)
class Retry:
    """A delivery that waits.

    Attributes:
        target: whom it is for, see `agents.notifying.targets`.
        attempt: which one comes next, from 2.
        first_at: when it was first tried.
        due_at: when it is tried again.
    """

    target: str
    attempt: int
    first_at: datetime
    due_at: datetime

    def headers(self) -> dict[str, bytes]:
        """Return it as headers of a message on a retry topic."""
        return {
            "retry-target": self.target.encode(),
            "retry-attempt": str(self.attempt).encode(),
            "retry-first-at": self.first_at.isoformat().encode(),
            "retry-due-at": self.due_at.isoformat().encode(),
        }


def retry_of(headers: Headers) -> Retry:
    """Return the retry of a message's headers.

    Raises:
        MessageInvalid: they are missing or cannot be.
    """
    try:
        return Retry(
            headers["retry-target"].decode(),
            int(headers["retry-attempt"]),
            _moment(headers["retry-first-at"]),
            _moment(headers["retry-due-at"]),
        )
    except (KeyError, ValueError) as error:
        raise MessageInvalid(f"no retry: {type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits longer each time, the last wait again and again, until it gives up.

    Attributes:
        tiers: waits, shortest first; each has a topic of its own, so that what waits long hinders nobody.
        give_up_after: since the first attempt.
    """

    tiers: tuple[timedelta, ...] = ALERTS.retry_delays
    give_up_after: timedelta = timedelta(hours=24)

    def again(
        self, target: str, attempt: int, first_at: datetime, now: datetime, asked_s: float | None = None
    ) -> tuple[Retry, timedelta] | None:
        """Return the next attempt and its tier; none where it is given up.

        Args:
            target: whom it is for.
            attempt: which one has just failed, from 1.
            first_at: when the first was made.
            now: the time.
            asked_s: after how long they asked to be tried again (RFC 9110, Retry-After): the shortest tier that is as
                long, or the longest.
        """
        tier = self.tiers[min(attempt, len(self.tiers)) - 1]
        if asked_s is not None and asked_s > tier.total_seconds():
            tier = next((each for each in self.tiers if each.total_seconds() >= asked_s), self.tiers[-1])
        due_at = now + tier
        if due_at - first_at > self.give_up_after:
            return None
        return Retry(target, attempt + 1, first_at, due_at), tier


def _moment(header: bytes) -> datetime:
    moment = datetime.fromisoformat(header.decode())
    if moment.tzinfo is None:
        raise ValueError("a moment without time zone")
    return moment.astimezone(UTC)
