"""Media to measure with: equal work, different bytes, so that no earlier verdict answers."""

import io
import struct
from pathlib import Path

from PIL import Image

from tests.support.media import Clip, MediaFolder, photograph

CLIP = Clip(
    width=1280,
    height=720,
    fps=25,
    frames=250,
    gop=50,
    options=(("preset", "veryfast"), ("crf", "23"), ("threads", "2")),
)
"""Ten seconds of 720p H.264, a key frame every two seconds, one face."""
SHORT_CLIP = Clip(width=1280, height=720, fps=25, frames=50, gop=50, options=CLIP.options)
"""The first two seconds of it, for a quick run."""


class Originals:
    """Media with numbered copies."""

    def __init__(self, folder: Path, clip: Clip) -> None:
        self._folder = folder
        self.clip_path = MediaFolder(folder).clip(clip)
        self.clip = clip

    def still(self, number: int) -> Path:
        """Return a 512 × 512 JPEG of a portrait; its number is in a comment."""  # noqa: RUF002
        buffer = io.BytesIO()
        Image.fromarray(photograph()).save(buffer, "JPEG", quality=92, comment=f"number {number}".encode())
        return self._write(f"still-{number}.jpg", buffer.getvalue())

    def copy(self, number: int) -> Path:
        """Return a copy of the clip; its number is in a box that players skip (`free`, ISO 14496-12)."""
        box = struct.pack(">I4sQ", 16, b"free", number)
        return self._write(f"copy-{number}.mp4", self.clip_path.read_bytes() + box)

    def _write(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(data)
        return path
