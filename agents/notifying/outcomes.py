"""What can come of telling somebody something."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delivered:
    """They have it."""

    detail: str


@dataclass(frozen=True, slots=True)
class Later:
    """It is worth trying again.

    Attributes:
        why: in words.
        asked_s: after how long they asked to be tried again, seconds.
    """

    why: str
    asked_s: float | None = None


@dataclass(frozen=True, slots=True)
class Never:
    """Trying again would change nothing."""

    why: str


Outcome = Delivered | Later | Never
