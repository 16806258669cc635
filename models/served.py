"""What a worker serves with, as it stands: models, who uses them, and what there is to say of them."""

from dataclasses import dataclass, field

from models.exceptions import ModelError
from models.inference.admission import Return
from models.inference.placing import Placed, Spot
from models.loading import AnyModel, why
from models.manifest import Entry
from models.selection import Choice


@dataclass(frozen=True, slots=True)
class Served:
    """One model as it serves.

    Attributes:
        wanted: the entry that was asked for.
        entry: the entry that runs: the one wanted, its twin for GPUs, or what stands in; none where nothing has room.
        share: of the media that it judges, 0 to 1.
        provider: what runs it; empty where nothing does.
        reason: why it runs there, and why nothing better does.
        stands_in: whether memory was short of something better.
    """

    wanted: Entry
    entry: Entry | None
    share: float
    provider: str
    reason: str
    stands_in: bool


@dataclass(slots=True, eq=False)
class Held:
    """A model that is loaded, and by how many segments it is in use."""

    placed: Placed[AnyModel]
    users: int = 0
    retired: bool = False


@dataclass(slots=True, eq=False)
class Slot:
    """The place of an entry that is wanted.

    Attributes:
        held: what serves; none where nothing has room, or while that is found out.
        missing: why nothing serves.
        placing: whether it is being found out.
        full: where memory ran out.
        back: when something better is tried again.
    """

    wanted: Entry
    back: Return
    held: Held | None = None
    missing: ModelError | None = None
    placing: bool = False
    full: set[Spot] = field(default_factory=set)


def retire(slot: Slot) -> Held | None:
    """Let a slot's model go; return it where nobody uses it, to be closed. The last user closes it otherwise."""
    held = slot.held
    if held is None:
        return None
    held.retired = True
    return held if held.users == 0 else None


def served(slot: Slot, choice: Choice, name: str) -> Served:
    """Return how the model of a slot serves.

    Args:
        slot: of the entry `name`.
        choice: of its role.
        name: one of the choice's.
    """
    canary = choice.share if choice.canary else 0.0
    share = (canary if name in choice.canary else 0.0) + (1.0 - canary if name in choice.models else 0.0)
    if slot.held is None:
        return Served(slot.wanted, None, share, "", "" if slot.missing is None else str(slot.missing), stands_in=False)
    placed = slot.held.placed
    return Served(slot.wanted, placed.opened.entry, share, placed.opened.provider, why(placed), bool(placed.short))
