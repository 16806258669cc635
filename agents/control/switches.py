"""What switches mean to a worker: pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from models.exceptions import ModelError
from models.manifest import Role
from models.selection import Choice, Selection
from schemas.control import ModelSwitch, RefusedSwitch


@dataclass(frozen=True, slots=True)
class Followed:
    """A selection after switches, and what could not be followed, by role."""

    selection: Selection
    refused: Mapping[Role, RefusedSwitch]


def effective(switches: Iterable[ModelSwitch], agent: str, preferred: Selection) -> Sequence[ModelSwitch]:
    """Return the switches that hold for a worker: of each role that it loads the last one that it is meant by.

    Args:
        switches: in the order in which they were asked for.
        agent: of the worker.
        preferred: what its manifest and settings prefer.
    """
    last: dict[Role, ModelSwitch] = {}
    for switch in switches:
        role = Role(switch.role)
        if switch.agent in {None, agent} and role in preferred.choices:
            last[role] = switch
    return list(last.values())


def choice_of(switch: ModelSwitch, preferred: Selection) -> Choice:
    """Return what a switch asks for.

    Args:
        switch: an `effective` one.
        preferred: what the worker's manifest and settings prefer.
    """
    role = Role(switch.role)
    return Choice(switch.models or preferred.choices[role].models, switch.canary, switch.canary_share)


def follow(
    selection: Selection, switches: Iterable[ModelSwitch], agent: str, preferred: Selection | None = None
) -> Followed:
    """Return what a worker is to serve after switches.

    Args:
        selection: what it serves before.
        switches: in the order in which they were asked for.
        agent: of the worker.
        preferred: what its manifest and settings prefer; by default the selection.
    """
    preferred = preferred or selection
    refused: dict[Role, RefusedSwitch] = {}
    for switch in effective(switches, agent, preferred):
        role = Role(switch.role)
        try:
            selection = selection.switched(role, choice_of(switch, preferred))
        except ModelError as error:
            refused[role] = refusal(switch, error)
    return Followed(selection, refused)


def refusal(switch: ModelSwitch, error: ModelError) -> RefusedSwitch:
    """Return what a worker says of a switch that it could not follow."""
    return RefusedSwitch(role=switch.role, models=switch.models + switch.canary, reason=str(error), at=switch.at)
