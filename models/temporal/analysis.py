"""All analyses of a face over time."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from models.temporal import changes, consistency, flow, jitter, lighting, smoothness, spectrum
from models.temporal.findings import TemporalFinding
from models.temporal.track import Seen, TrackView

ANALYSES: Mapping[str, Callable[[TrackView], TemporalFinding | None]] = MappingProxyType(
    {
        consistency.NAME: lambda view: consistency.analyse_consistency(view.measures),
        flow.UNLIKE: lambda view: flow.analyse_motion(view.motion),
        flow.DISORDER: lambda view: flow.analyse_disorder(view.motion),
        lighting.NAME: lambda view: lighting.analyse_drift(view.light),
        smoothness.NAME: lambda view: smoothness.analyse_smoothness(view.score),
        changes.NAME: lambda view: changes.analyse_changes(view.score),
        spectrum.NAME: lambda view: spectrum.analyse_spectrum(view.score),
        jitter.NAME: lambda view: jitter.analyse_jitter(view.landmarks),
    }
)
"""By name, in the order of their findings. None where a track is too short for one: each module says what it takes."""


def analyse_track(faces: Sequence[Seen], deciding: Sequence[str], *, aspect: float) -> tuple[TemporalFinding, ...]:
    """Run all analyses on one track, in the order of `ANALYSES`; those that it is too short for are left out.

    Args:
        faces: presentation time in milliseconds and the face, of one track and in order of time.
        deciding: names of the detectors whose logits decide, the one that counts most first.
        aspect: width of the upright frame over its height: landmarks are shares of both.

    Raises:
        ValueError: the faces are not in order of time.
    """
    view = TrackView.of(faces, deciding, aspect=aspect)
    return tuple(found for find in ANALYSES.values() if (found := find(view)) is not None)
