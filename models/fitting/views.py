"""The same face seen in different ways: as served, disturbed for fitting, degraded for robustness.

Every view brings a face to one effective resolution first, with nothing that depends on its label: what the
sources differ in besides being real or fake (size, sharpness, JPEG quality) must not be there to learn.
"""

import hashlib
import io
from dataclasses import dataclass

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from models.crops import square_crop
from models.fitting.faces import LabelledFace
from models.manifest import InputSpec

Crop = NDArray[np.uint8]

# A face keeps its label when turned, moved or scaled by this much (degrees, shares of the box's side).
TURN, SHIFT, STRETCH = 12.0, 0.06, 0.1
JPEG_QUALITY = (40, 95)
SMALLEST_SIDE = 48
EQUAL_JPEG = 80


@dataclass(frozen=True, slots=True)
class Degradation:
    """What a face goes through after it was brought to the model's resolution; None leaves a step out."""

    downscale: int | None = None
    h264_crf: int | None = None
    jpeg: int | None = None


AS_SERVED = Degradation()
EQUALISED = Degradation(jpeg=EQUAL_JPEG)
DEGRADATIONS = {
    "as served": AS_SERVED,
    f"JPEG {EQUAL_JPEG}": EQUALISED,
    "JPEG 60": Degradation(jpeg=60),
    "JPEG 40": Degradation(jpeg=40),
    "72 px": Degradation(downscale=72),
    "48 px": Degradation(downscale=48),
    "H.264 CRF 23": Degradation(h264_crf=23),
    "H.264 CRF 33": Degradation(h264_crf=33),
    "48 px, CRF 28, JPEG 60": Degradation(downscale=48, h264_crf=28, jpeg=60),
}


def view(face: LabelledFace, spec: InputSpec, degradation: Degradation) -> Crop:
    """The face as the fleet would cut it, then degraded: uint8 [size, size, 3]."""
    crop = square_crop(face.image, face.face.box, spec.crop.margin, _size(spec))
    return degrade(crop, degradation)


def disturbed_view(face: LabelledFace, spec: InputSpec, *, seed: int, number: int) -> Crop:
    """The face turned, moved, mirrored, reduced and recompressed at random, the same for the same arguments."""
    key = hashlib.sha256(f"{seed}/{face.group}/{face.name}/{number}".encode()).digest()
    random = np.random.default_rng(np.frombuffer(key, np.uint32))
    x0, y0, x1, y1 = face.face.box
    side = max(x1 - x0, y1 - y0)
    centre = ((x0 + x1) / 2, (y0 + y1) / 2)
    turn = cv2.getRotationMatrix2D(centre, random.uniform(-TURN, TURN), 1.0)
    height, width = face.image.shape[:2]
    image = cv2.warpAffine(face.image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    x, y = np.array(centre) + random.uniform(-SHIFT, SHIFT, 2) * side
    half = side * random.uniform(1 - STRETCH, 1 + STRETCH) / 2
    box = (x - half, y - half, x + half, y + half)
    crop = square_crop(np.asarray(image, np.uint8), box, spec.crop.margin, _size(spec))
    if random.random() < 0.5:
        crop = np.ascontiguousarray(crop[:, ::-1])
    return degrade(
        crop,
        Degradation(
            downscale=int(random.integers(SMALLEST_SIDE, _size(spec))) if random.random() < 0.5 else None,
            h264_crf=int(random.integers(18, 34)) if random.random() < 0.3 else None,
            jpeg=int(random.integers(JPEG_QUALITY[0], JPEG_QUALITY[1] + 1)) if random.random() < 0.7 else None,
        ),
    )


def degrade(crop: Crop, degradation: Degradation) -> Crop:
    """Reduce and enlarge again, encode as an H.264 key frame, encode as JPEG; in that order."""
    size = crop.shape[0]
    if degradation.downscale is not None:
        small = cv2.resize(crop, (degradation.downscale,) * 2, interpolation=cv2.INTER_AREA)
        crop = np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
    if degradation.h264_crf is not None:
        crop = _through_h264(crop, degradation.h264_crf)
    if degradation.jpeg is not None:
        _, encoded = cv2.imencode(".jpg", crop[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, degradation.jpeg])
        crop = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1]
    return np.ascontiguousarray(crop)


def sharpness(crop: Crop) -> float:
    """Variance of the Laplacian: a shortcut that a detector must do better than."""
    return float(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())


def _through_h264(crop: Crop, crf: int) -> Crop:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        options = {"crf": str(crf), "preset": "medium", "threads": "1"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = crop.shape[:2]
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(crop, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as encoded:
        frame = next(encoded.decode(video=0))
        return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _size(spec: InputSpec) -> int:
    if spec.size is None:
        raise ValueError("a face detector has no crops")
    return spec.size
