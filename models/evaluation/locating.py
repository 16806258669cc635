"""Does a detector's map show where a face is blended? Tried on blends whose outline is known."""

from collections.abc import Sequence
from math import isqrt
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.crops import square_crop
from models.evaluation.exceptions import LayoutInvalid
from models.evidence import FaceEvidence, Quality, RelativeBox
from models.faces import Face, FaceDetector
from models.heat import pack
from models.locations import OUTLINES_OF, Confusion, Location, locate
from models.session import Session
from models.training.portraits import OnStep


def locate_blends(folder: Path, finder: FaceDetector, session: Session, on_step: OnStep) -> Confusion:
    """Count where a detector's maps lie on blends, by where they should.

    Args:
        folder: pictures whose names end in `-` and the outline, as `fleet models blend` writes them to `fake/`.
        finder: finds the faces; the largest of a picture is judged.
        session: of a detector with a map.
        on_step: told how far it is.

    Raises:
        LayoutInvalid: there is no such picture, none has a face, a name tells no outline, or the detector has no map.
    """
    name = session.entry.name
    if session.columns == 1:
        raise LayoutInvalid(f"{name} answers no map")
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise LayoutInvalid(f"{folder} has no .png files")
    outlines = [path.stem.rpartition("-")[2] for path in paths]
    unknown = sorted(set(outlines) - set(OUTLINES_OF))
    if unknown:
        raise LayoutInvalid(f"{folder} has names that end in no outline, such as -{unknown[0]}.png")
    counts: dict[tuple[Location, Location], int] = {}
    for done, (path, outline) in enumerate(zip(paths, outlines, strict=True), 1):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        faces = finder.detect([np.asarray(image, np.uint8)])[0] if image is not None else []
        if image is not None and faces:
            pixels = np.asarray(image, np.uint8)
            found = _found(pixels, max(faces, key=lambda face: face.box[2] - face.box[0]), session)
            counts[OUTLINES_OF[outline], found] = counts.get((OUTLINES_OF[outline], found), 0) + 1
        on_step(f"judging by {name}", done, len(paths))
    if not counts:
        raise LayoutInvalid(f"no face was found in {folder}")
    return Confusion(counts)


def _found(image: NDArray[np.uint8], face: Face, session: Session) -> Location:
    crop = square_crop(image, face.box, session.entry.input.crop.margin, session.size)
    cells = session.answer(crop[None])[0, 1:]
    side = isqrt(len(cells))
    height, width = image.shape[:2]
    evidence = FaceEvidence(
        _relative(face.box, width, height),
        face.score,
        Quality(face.box[2] - face.box[0], 1.0, 1.0, 1.0, usable=True),
        landmarks=tuple((float(x) / width, float(y) / height) for x, y in face.landmarks),
        heat=pack(cells.reshape(side, side)),
    )
    return locate([evidence], width / height).location


def _relative(box: Sequence[float], width: int, height: int) -> RelativeBox:
    left, top, right, bottom = box
    return RelativeBox(left / width, top / height, (right - left) / width, (bottom - top) / height)
