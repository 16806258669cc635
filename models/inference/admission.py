"""Let a model in only where its memory is: what it was measured to need, and a reserve."""

from collections.abc import Callable
from dataclasses import dataclass

from models.exceptions import NoRoom
from models.inference.meter import MemoryMeter
from models.manifest import Entry

MIB = 1 << 20
RESERVE_BYTES = 256 * MIB
"""Left free beside a model: for frames in hand, for what other processes take meanwhile."""
CALM_S = 60.0
"""For how long there must be room again before a model is brought back; twice as long after each time it failed."""
MARGIN = 0.1
"""Share of its need that must be free beyond what admission asks for, before a model is brought back."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Decides whether there is room.

    Attributes:
        meter: reads what is free.
        reserve_bytes: to be left free.
    """

    meter: MemoryMeter
    reserve_bytes: int = RESERVE_BYTES

    def require(self, entry: Entry, provider: str) -> str:
        """Make sure that there is room for a model, and return what was found.

        Raises:
            NoRoom: there is not.
        """
        need = need_bytes(entry, provider)
        if need is None:
            return f"its need on {provider} is not measured"
        free = self.meter.free(provider)
        if free is None:
            return "free memory is not known"
        if free < need + self.reserve_bytes:
            problem = (
                f"needs {need // MIB} MiB and {self.reserve_bytes // MIB} MiB in reserve, {free // MIB} MiB are free"
            )
            raise NoRoom(entry.name, f"needs.{provider}", problem)
        return f"{need // MIB} MiB of {free // MIB} MiB free"

    def ample(self, entry: Entry, provider: str) -> bool:
        """Tell whether there is room and some to spare; true where that cannot be known, since only trying tells."""
        need, free = need_bytes(entry, provider), self.meter.free(provider)
        return need is None or free is None or free >= need * (1 + MARGIN) + self.reserve_bytes


def need_bytes(entry: Entry, provider: str) -> int | None:
    """Return what a model was measured to need where a provider runs, bytes; None where it was not."""
    need = entry.needs.get(provider)
    return None if need is None else round(need * MIB)


class Return:
    """When to try a better choice again that had no room. Not for several threads at once.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calm_s = CALM_S
        self._since: float | None = None

    def due(self, *, ample: bool) -> bool:
        """Note whether there is room now; true when there has been for long enough."""
        now = self._clock()
        if not ample:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self._calm_s

    def failed(self) -> None:
        """Note that it was tried and had no room after all."""
        self._since = None
        self._calm_s *= 2
