"""A frame as a JPEG that fits into a message."""

import cv2
import numpy as np
from av.video.frame import VideoFrame
from cv2.typing import MatLike

from agents.media.conversion import Conversion
from agents.pulling.exceptions import Trouble

_WORST_QUALITY = 50
_SMALLEST_SIDE = 160


class Stills:
    """Scales, converts and encodes frames. Not for several threads.

    Args:
        max_side: Longest side, pixels.
        quality: JPEG quality, 1 to 100.
        most_bytes: Of a still; a worse or smaller one is made where it would have more.
    """

    def __init__(self, max_side: int, quality: int, most_bytes: int) -> None:
        cv2.setNumThreads(1)
        self._max_side = max_side
        self._quality = quality
        self._most_bytes = most_bytes
        self._conversions: dict[tuple[int, int, str], Conversion] = {}

    def jpeg(self, frame: VideoFrame) -> bytes:
        """Return the still of a frame.

        Raises:
            Trouble: `undecodable`, when it cannot be made.
        """
        pixels = self._pixels(frame)
        quality = self._quality
        while True:
            done, encoded = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, quality))
            if not done:
                raise Trouble("undecodable", "a frame cannot be made a JPEG")
            if len(encoded) <= self._most_bytes:
                return encoded.tobytes()
            if quality > _WORST_QUALITY:
                quality = max(_WORST_QUALITY, quality - 20)
                continue
            side = max(pixels.shape[:2]) // 2
            if side < _SMALLEST_SIDE:
                raise Trouble("undecodable", f"a still of {self._most_bytes} bytes cannot be made")
            pixels = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)

    def _pixels(self, frame: VideoFrame) -> MatLike:
        """BGR pixels, upright, (height, width, 3)."""
        # A publisher may change its resolution at any frame: one conversion for each, and few are kept.
        form = (frame.width, frame.height, frame.format.name)
        if form not in self._conversions:
            if len(self._conversions) >= 4:
                self._conversions.clear()
            self._conversions[form] = Conversion(self._max_side, None)
        decoded = self._conversions[form].decoded(frame, 0, 0)
        rgb = np.empty((decoded.height, decoded.width, 3), np.uint8)
        decoded.write(rgb.data.cast("B"))
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
