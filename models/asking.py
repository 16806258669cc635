"""The cascade: which detectors are asked about which faces. The cheap one sees all, the costly ones where it pays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from models.evidence import FrameEvidence
from models.fusion import pool, sigmoid
from models.manifest import Entry, Role
from schemas.media import DetectionLevel

Place = tuple[int, int]
"""A face: its frame's place among the frames, and its own within the frame."""

_SAMPLED: Mapping[DetectionLevel, Mapping[Role, int]] = MappingProxyType(
    {
        DetectionLevel.BASIC: MappingProxyType({}),
        DetectionLevel.STANDARD: MappingProxyType({Role.SYNTHETIC: 4}),
        DetectionLevel.ADVANCED: MappingProxyType({Role.SYNTHETIC: 16, Role.LIVENESS: 16}),
    }
)
"""How many faces of a track suffice: a generated face, or one on a screen, is so in all frames."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What a detection level asks, of the detectors that are loaded.

    Attributes:
        every: judge every usable face.
        suspicious: judge every face of a track in which one of `every` found more than its entry's `suspicion`.
        sampled: judge evenly spread faces of every track, so many at most.
        suspicion: by name of `every`, see `models.manifest.OutputSpec`.
        artifacts: whether faces are searched for artifacts.
        motion: whether motion within faces is measured.
    """

    every: tuple[str, ...]
    suspicious: tuple[str, ...] = ()
    sampled: Mapping[str, int] = field(default_factory=dict)
    suspicion: Mapping[str, float] = field(default_factory=dict)
    artifacts: bool = False
    motion: bool = False

    @property
    def later(self) -> tuple[str, ...]:
        """Detectors that are asked when the first have answered."""
        return (*self.suspicious, *self.sampled)


def asking(level: DetectionLevel, entries: Iterable[Entry]) -> Asking:
    """Return what a level asks.

    `basic` asks the screen alone, or where there is none the primary. `standard` asks the primary where the screen is
    suspicious, or everywhere where there is no screen, and searches for artifacts. `advanced` asks all of every face,
    and looks at motion and liveness.
    """
    by_role: dict[Role, list[Entry]] = {role: [] for role in Role}
    for entry in entries:
        by_role[entry.role].append(entry)
    screens, primaries = by_role[Role.SCREEN], by_role[Role.PRIMARY]
    every, suspicious = screens or primaries, []
    if screens and level is DetectionLevel.ADVANCED:
        every = screens + primaries
    elif screens and level is DetectionLevel.STANDARD:
        suspicious = primaries
    return Asking(
        every=tuple(entry.name for entry in every),
        suspicious=tuple(entry.name for entry in suspicious),
        sampled={entry.name: most for role, most in _SAMPLED[level].items() for entry in by_role[role]},
        suspicion={entry.name: entry.output.suspicion for entry in screens},
        artifacts=level is not DetectionLevel.BASIC,
        motion=level is DetectionLevel.ADVANCED,
    )


def asking_live(level: DetectionLevel, entries: Iterable[Entry]) -> Asking:
    """Return what a level asks of live frames, which are scored a few at a time.

    Without artifacts and motion, which no decision rests on (their weights are 0). Detectors that need only some faces
    of a track see one face of each at a time, and only at `advanced`.
    """
    asked = asking(level, entries)
    sampled = dict.fromkeys(asked.sampled, 1) if level is DetectionLevel.ADVANCED else {}
    return replace(asked, sampled=sampled, artifacts=False, motion=False)


def asked_later(
    frames: Sequence[FrameEvidence], kept: Sequence[Place], asked: Asking, top_share: float = 0.3
) -> Mapping[str, Sequence[Place]]:
    """Return the faces that each later detector is to judge, in order.

    Args:
        frames: in order of time, with tracks, and with the logits of `asked.every`.
        kept: faces whose crops are still there, in order.
        asked: what the level asks.
        top_share: see `models.fusion.pool`.
    """
    of_track: dict[int, list[Place]] = {}
    for place in kept:
        of_track.setdefault(frames[place[0]].faces[place[1]].track, []).append(place)
    logits: dict[int, dict[str, list[float]]] = {}
    for frame in frames:
        for face in frame.faces:
            for name, value in face.logits.items():
                logits.setdefault(face.track, {}).setdefault(name, []).append(value)
    later: dict[str, list[Place]] = {name: [] for name in asked.later}
    for track, places in of_track.items():
        if _suspicious(logits.get(track, {}), asked, top_share):
            for name in asked.suspicious:
                later[name] += places
        for name, most in asked.sampled.items():
            later[name] += spread(places, most)
    return {name: sorted(places) for name, places in later.items()}


def spread(places: Sequence[Place], most: int) -> Sequence[Place]:
    """Return at most `most` of the places, evenly spread, the first among them."""
    count = min(len(places), most)
    return [places[number * len(places) // count] for number in range(count)]


def _suspicious(logits: Mapping[str, Sequence[float]], asked: Asking, top_share: float) -> bool:
    return any(
        sigmoid(pool(values, top_share)) >= asked.suspicion[name]
        for name, values in logits.items()
        if name in asked.suspicion
    )
