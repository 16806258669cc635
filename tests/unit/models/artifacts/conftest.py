"""The face of the photograph that scikit-image ships, cut as the fleet cuts faces."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from bench.artifacts import astronaut
from models.artifacts.analysis import ANALYSES
from models.artifacts.findings import ArtifactFinding
from models.artifacts.view import FaceView

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A face crop, uint8 [256, 256, 3], with its landmarks, float32 [5, 2]."""

    crop: Image
    landmarks: NDArray[np.float32]

    def finding(self, name: str, crop: Image | None = None) -> ArtifactFinding:
        """Return what one analysis finds in the crop, or in another of the same face."""
        return ANALYSES[name](FaceView.of(self.crop if crop is None else crop, self.landmarks))

    def score(self, name: str, crop: Image | None = None) -> float:
        return self.finding(name, crop).score

    def pasted(self, other: Image, radius: float = 0.95) -> Image:
        """Return the crop with the face replaced by that of another of the same shape, within a hard ellipse."""
        across, along = FaceView.of(self.crop, self.landmarks).ellipse.coordinates(len(self.crop))
        inside = across**2 + along**2 < radius**2
        return np.where(inside[:, :, None], other, self.crop)


@pytest.fixture(scope="session")
def portrait() -> Portrait:
    crop, landmarks = astronaut()
    return Portrait(crop, landmarks)


@pytest.fixture(scope="session", params=["astronaut", "coffee", "chelsea"])
def photograph(request: pytest.FixtureRequest) -> Image:
    """A piece of a photograph that was never scaled, uint8 [256, 256, 3]."""
    return np.asarray(getattr(data, request.param)()[:256, 100:356], np.uint8)


def as_luma(image: Image) -> Image:
    """Return the luma of an RGB picture."""
    return np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[:, :, 0])


def as_jpeg(image: Image, quality: int) -> Image:
    """Return a picture after compression."""
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
