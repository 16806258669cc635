"""The faces of a stream that look most altered, as small pictures, for as long as its window remembers them."""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import redis

from agents.keyvalue import Call, Script, typed_errors
from agents.settings import RedisSettings

MOST = 3
"""Faces that are kept of a stream."""
_KEEP = (Path(__file__).parent / "worst_faces.lua").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class LiveFace:
    """A face of a live frame.

    Attributes:
        seq: number of the frame.
        pts_ms: its presentation time, milliseconds.
        logit: calibrated, of the detector that judged it.
        jpeg: see `models.pictures.thumbnail`; blurred where the policy wants it.
    """

    seq: int
    pts_ms: int
    logit: float
    jpeg: bytes


class WorstFaces:
    """The worst faces of all streams."""

    def __init__(self, client: "redis.Redis", settings: RedisSettings) -> None:
        self._client = client
        self._prefix = settings.key_prefix
        self._keep = Script(client, _KEEP)

    def key(self, stream_id: str) -> str:
        """Return the key of a stream's faces, in the slot of its window."""
        return f"{self._prefix}{{{stream_id}}}:faces"

    def keep(self, faces: Mapping[str, tuple[LiveFace, int]]) -> None:
        """Keep a face of each of some streams, if it is among the worst; kept again, it changes nothing.

        Args:
            faces: by stream, with how long it may be kept, milliseconds.

        Raises:
            Unavailable: Redis is away.
        """
        self._keep.run_all(
            [
                Call((self.key(stream_id),), (face.seq, _packed(face), MOST, ttl_ms))
                for stream_id, (face, ttl_ms) in faces.items()
            ]
        )

    def find(self, stream_id: str) -> Sequence[LiveFace]:
        """Return the worst faces of a stream, the worst first.

        Raises:
            Unavailable: Redis is away.
        """
        with typed_errors():
            found = self._client.hvals(self.key(stream_id))
        faces = [_unpacked(value if isinstance(value, bytes) else value.encode()) for value in found]
        return sorted(faces, key=lambda face: (-face.logit, face.seq))


def _packed(face: LiveFace) -> bytes:
    return orjson.dumps((face.seq, face.pts_ms, face.logit, b64encode(face.jpeg).decode()))


def _unpacked(value: bytes) -> LiveFace:
    seq, pts_ms, logit, jpeg = orjson.loads(value)
    return LiveFace(seq, pts_ms, logit, b64decode(jpeg))
