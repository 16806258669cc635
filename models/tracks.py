"""Faces followed over time: the same face in successive frames is one track."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.evidence import FaceEvidence, FrameEvidence, RelativeBox

_SAME_FACE_OVERLAP = 0.3
"""Intersection over union from which two boxes are the same face (Bochinski et al. 2017, IOU tracker)."""
_MAX_GAP_MS = 3000
"""A face that was not seen for longer is a new track, milliseconds."""


@dataclass(slots=True)
class _Track:
    number: int
    last_seen_ms: int
    box: RelativeBox


def link(frames: Sequence[FrameEvidence]) -> tuple[FrameEvidence, ...]:
    """Return the frames in order of time, each face with the number of its track.

    Boxes are matched greedily, best overlap first; a scene cut ends every track.
    """
    tracks: list[_Track] = []
    of_scene = 0
    linked = []
    for frame in sorted(frames, key=lambda frame: (frame.pts_ms, frame.frame_number)):
        if frame.cut:
            of_scene = len(tracks)
        alive = [track for track in tracks[of_scene:] if frame.pts_ms - track.last_seen_ms <= _MAX_GAP_MS]
        pairs = sorted(
            (
                (track.box.overlap(face.box), track.number, position)
                for track in alive
                for position, face in enumerate(frame.faces)
            ),
            key=lambda pair: (-pair[0], pair[1], pair[2]),
        )
        of_face: dict[int, _Track] = {}
        taken: set[int] = set()
        for overlap, number, position in pairs:
            if overlap < _SAME_FACE_OVERLAP:
                break
            if number not in taken and position not in of_face:
                taken.add(number)
                of_face[position] = tracks[number]
        faces: list[FaceEvidence] = []
        for position, face in enumerate(frame.faces):
            track = of_face.get(position)
            if track is None:
                track = _Track(len(tracks), frame.pts_ms, face.box)
                tracks.append(track)
            track.box, track.last_seen_ms = face.box, frame.pts_ms
            faces.append(replace(face, track=track.number))
        linked.append(replace(frame, faces=tuple(faces)))
    return tuple(linked)
