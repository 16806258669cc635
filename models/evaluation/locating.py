"""Does a detector's map show where a face is blended? Tried on blends whose outline is known."""

from collections import Counter
from dataclasses import replace
from math import isqrt
from pathlib import Path

import cv2
import numpy as np

from models.crops import cut_faces
from models.evaluation.exceptions import LayoutInvalid
from models.faces import FaceDetector
from models.fitting.faces import LabelledFace, largest
from models.heat import pack
from models.inference.session import Session
from models.locations import OUTLINES_OF, Confusion, Location, locate
from models.looking import look
from models.quality import EVERY_FACE
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
    counts: Counter[tuple[Location, Location]] = Counter()
    for done, (path, outline) in enumerate(zip(paths, outlines, strict=True), 1):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        found = None
        if image is not None:
            found = largest(folder.name, path.name, np.asarray(image, np.uint8), finder, fake=True)
        if found is not None:
            counts[OUTLINES_OF[outline], _located(found, session)] += 1
        on_step(f"judging by {name}", done, len(paths))
    if not counts:
        raise LayoutInvalid(f"no face was found in {folder}")
    return Confusion(counts)


def _located(shown: LabelledFace, session: Session) -> Location:
    (crop,) = cut_faces(shown.image, (shown.face,), session.entry.input.crop, session.size)
    cells = session.answer(crop[None])[0, 1:]
    side = isqrt(len(cells))
    height, width = shown.image.shape[:2]
    evidence = look(shown.image, shown.face, EVERY_FACE, artifacts=False)
    return locate([replace(evidence, heat=pack(cells.reshape(side, side)))], width / height).location
