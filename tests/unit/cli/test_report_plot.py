from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents.report.plot import top_frame, write_plot
from schemas.examples import EXAMPLES
from schemas.media import ContentType
from schemas.verdict import FrameAnalysis, Verdict

VERDICT = next(event for event in EXAMPLES.values() if isinstance(event, Verdict))
PICTURE = np.full((360, 640, 3), 128, np.uint8)


def pixels(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("content_type", [ContentType.VIDEO, ContentType.IMAGE])
@pytest.mark.parametrize("picture", [PICTURE, None], ids=["with its frame", "without"])
def test_a_verdict_is_drawn(tmp_path: Path, content_type: ContentType, picture: np.ndarray | None) -> None:
    path = tmp_path / "scores.png"
    write_plot(VERDICT.model_copy(update={"content_type": content_type}), picture, path)
    drawn = pixels(path)
    assert drawn.shape == (720, 1800, 3)
    # Neither blank nor a wall of colour.
    assert 0.6 < float((drawn == 255).all(axis=2).mean()) < 0.99 if picture is None else drawn.std() > 10


def test_a_verdict_without_frames_is_drawn_too(tmp_path: Path) -> None:
    path = tmp_path / "scores.png"
    write_plot(VERDICT.model_copy(update={"frames": (), "axes": (), "suspicious_segments": ()}), None, path)
    assert pixels(path).shape == (720, 1800, 3)


def test_a_suspicious_segment_is_shaded(tmp_path: Path) -> None:
    with_it, without = tmp_path / "with.png", tmp_path / "without.png"
    write_plot(VERDICT, None, with_it)
    write_plot(VERDICT.model_copy(update={"suspicious_segments": ()}), None, without)

    def reddish(path: Path) -> float:
        red, green, blue = (pixels(path)[..., channel].astype(int) for channel in range(3))
        return float(((red - green > 20) & (red - blue > 20)).mean())

    assert reddish(with_it) > reddish(without) + 0.1


def test_the_frame_to_show_is_the_most_suspicious_one() -> None:
    def frame(number: int, score: float | None) -> FrameAnalysis:
        return FrameAnalysis(frame_number=number, pts_ms=40 * number, key_frame=False, score=score, faces=())

    frames = (frame(0, 0.2), frame(1, 0.9), frame(2, 0.9), frame(3, None))
    chosen = top_frame(VERDICT.model_copy(update={"frames": frames}))
    assert chosen == frames[1]
    assert top_frame(VERDICT.model_copy(update={"frames": (frames[3],)})) == frames[3]
    assert top_frame(VERDICT.model_copy(update={"frames": ()})) is None
