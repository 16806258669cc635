"""Which model runs where: the first choice on the fastest provider, and what stands in where memory is short."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from models.exceptions import GoldenMismatch, ModelError, NoRoom, OutOfMemory, ProviderUnavailable
from models.inference.provider_options import CPU
from models.manifest import Entry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spot:
    """An entry and the provider that runs it."""

    entry: Entry
    provider: str

    def __hash__(self) -> int:
        return hash((self.entry.name, self.provider))

    def __str__(self) -> str:
        return f"{self.entry.name} on {self.provider}"


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a chain of fallbacks.

    Attributes:
        entry: what runs on a CPU.
        on_gpu: what runs in its place on a GPU; mostly the same.
    """

    entry: Entry
    on_gpu: Entry

    def spot(self, provider: str) -> Spot:
        """Where the step runs by a provider."""
        return Spot(self.entry if provider == CPU else self.on_gpu, provider)


@dataclass(frozen=True, slots=True)
class Placed(Generic[T]):
    """What was opened, and why not what goes before it.

    Attributes:
        spot: what runs, and where.
        opened: whatever `attempt` gave.
        passed_over: why each better choice was not taken, in words.
        short: the better choices that had no room, best first.
    """

    spot: Spot
    opened: T
    passed_over: tuple[str, ...] = ()
    short: tuple[Spot, ...] = ()


class _Search(Generic[T]):
    """The choices that were tried so far."""

    def __init__(self, attempt: Callable[[Spot], T], full: Collection[Spot]) -> None:
        self._attempt = attempt
        self._full = full
        self.passed_over: list[str] = []
        self.short: list[Spot] = []
        self.refused: GoldenMismatch | None = None
        self.error: ModelError | None = None

    def at(self, spot: Spot) -> Placed[T] | None:
        """Open a spot, or note why not."""
        if spot in self._full:
            self._note(spot, NoRoom(spot.entry.name, f"needs.{spot.provider}", "its memory ran out while it ran"))
            return None
        try:
            opened = self._attempt(spot)
        except (NoRoom, OutOfMemory, ProviderUnavailable, GoldenMismatch) as error:
            self._note(spot, error)
            return None
        return Placed(spot, opened, tuple(self.passed_over), tuple(self.short))

    def _note(self, spot: Spot, error: NoRoom | OutOfMemory | ProviderUnavailable | GoldenMismatch) -> None:
        self.passed_over.append(f"{spot}: {error.problem}")
        self.error = error
        if isinstance(error, NoRoom | OutOfMemory):
            self.short.append(spot)
        elif isinstance(error, GoldenMismatch):
            self.refused = error


def place(
    chain: Sequence[Step], providers: Sequence[str], attempt: Callable[[Spot], T], full: Collection[Spot] = ()
) -> Placed[T]:
    """Open the best of a chain that can be had.

    A step is tried on every provider, fastest first. Where a GPU has no room for it, the next step is tried there,
    and only when none of them has room the CPU takes over, from the last and smallest step on. What a provider cannot
    run, or answers wrongly, goes on to the next provider at once.

    Args:
        chain: the first choice, then its fallbacks.
        providers: fastest first.
        attempt: opens an entry on a provider.
        full: where memory ran out before: not tried.

    Raises:
        NoRoom, OutOfMemory: nothing of the chain has room.
        GoldenMismatch: a step answers wrongly wherever it has room.
        ProviderUnavailable: no provider runs it.
        ModelError: whatever else `attempt` raised.
    """
    search = _Search(attempt, full)
    gpus = [provider for provider in providers if provider != CPU]
    cpu = [provider for provider in providers if provider == CPU]
    left: list[Step] = []
    for step in chain:
        already = len(search.short)
        search.refused = None
        for provider in gpus:
            if placed := search.at(step.spot(provider)):
                return placed
        if len(search.short) > already:
            left.append(step)
            continue
        for provider in cpu:
            if placed := search.at(step.spot(provider)):
                return placed
        if search.refused is not None:
            break
    for step in reversed(left):
        for provider in cpu:
            if placed := search.at(step.spot(provider)):
                return placed
    reasons = "; ".join(search.passed_over)
    error = search.refused or search.error
    if error is None:
        raise ProviderUnavailable(chain[0].entry.name, "provider", "there is none")
    raise type(error)(chain[0].entry.name, error.field, reasons)
