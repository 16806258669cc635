"""The reals and fakes that artifact analyses are measured on, from the shared data."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from models.artifacts.blends import self_blend
from models.faces import FaceDetector
from models.fitting.faces import LabelledFace, OnStep, read_group, read_video

FRAMES_A_CLIP = 24
_REAL = "val/real"


@dataclass(frozen=True, slots=True)
class Subset:
    """Reals and fakes that are told apart; of clips by their means, see `models.artifacts.measure.measure`."""

    name: str
    real: tuple[LabelledFace, ...]
    fake: tuple[LabelledFace, ...]
    by_clip: bool = False


def subsets(data: Path, detector: FaceDetector, on_step: OnStep, *, limit: int | None = None) -> Iterator[Subset]:
    """Read the subsets one by one.

    Args:
        data: folder with `faces/` and `video/`, see its README.
        detector: finds the faces.
        on_step: told how far it is.
        limit: files of each folder at most, and frames of each clip.

    Raises:
        FileNotFoundError: a folder is not there, or no clips.
    """
    real = read_group(data, _REAL, detector, limit, on_step).faces
    edited = [read_group(data, f"val/photoshop_{label}", detector, limit, on_step).faces for label in ("real", "fake")]
    yield Subset("photoshop", edited[0], edited[1])
    for generator in ("stylegan2", "diffusion"):
        yield Subset(generator, real, read_group(data, f"val/fake_{generator}", detector, limit, on_step).faces)
    yield Subset("self-blended", real, tuple(self_blend(face, seed=seed) for seed, face in enumerate(real)))
    clips = sorted((data / "video").glob("*.mp4"))
    if not clips:
        raise FileNotFoundError(f"{data / 'video'} has no .mp4 files")
    frames = min(limit or FRAMES_A_CLIP, FRAMES_A_CLIP)
    found = tuple(chain.from_iterable(read_video(clip, detector, frames, on_step).faces for clip in clips))
    yield Subset(
        "clips",
        tuple(face for face in found if not face.fake),
        tuple(face for face in found if face.fake),
        by_clip=True,
    )
