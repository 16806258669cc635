from hashlib import sha256
from pathlib import Path

import av
import numpy as np
import pytest

from agents.demo.media import FPS, SECONDS, SIDE, DemoMedia, Ellipse, build, reblended
from agents.demo.pipeline import upload_events
from agents.demo.view import limits
from schemas.examples import EXAMPLES
from schemas.media import MediaUpload
from schemas.verdict import Label, ModelVersion, Verdict

VERDICT = next(event for event in EXAMPLES.values() if isinstance(event, Verdict))


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoMedia, ...]:
    return build(tmp_path_factory.mktemp("media"))


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_the_media_are_two_clips_and_two_stills(media: tuple[DemoMedia, ...]) -> None:
    assert [(each.path.suffix, each.altered) for each in media] == [
        (".jpg", False),
        (".jpg", True),
        (".mp4", False),
        (".mp4", True),
    ]
    for each in media:
        found = frames(each.path)
        assert len(found) == (FPS * SECONDS if each.path.suffix == ".mp4" else 1)
        assert found[0].shape == (SIDE, SIDE, 3)


def test_the_media_are_the_same_bytes_every_time(media: tuple[DemoMedia, ...], tmp_path: Path) -> None:
    def hashes(files: tuple[DemoMedia, ...]) -> list[str]:
        return [sha256(each.path.read_bytes()).hexdigest() for each in files]

    assert hashes(build(tmp_path)) == hashes(media)


def test_only_the_face_is_altered_and_it_moves_from_frame_to_frame() -> None:
    frame = np.random.default_rng(0).integers(60, 200, (SIDE, SIDE, 3), dtype=np.uint8)
    face = Ellipse((250.0, 200.0), (70.0, 90.0))
    altered = reblended(frame, face, 3)
    rows, columns = np.nonzero((altered != frame).any(axis=2))
    assert 250 - 1.3 * 70 <= columns.min() < columns.max() <= 250 + 1.3 * 70
    assert 200 - 1.3 * 90 <= rows.min() < rows.max() <= 200 + 1.3 * 90
    assert (altered != reblended(frame, face, 4)).any()


def test_a_face_at_the_edge_is_altered_too() -> None:
    frame = np.full((SIDE, SIDE, 3), 90, np.uint8)
    assert reblended(frame, Ellipse((20.0, SIDE - 10.0), (70.0, 90.0)), 1).shape == frame.shape


def test_the_pipeline_publishes_valid_upload_events(media: tuple[DemoMedia, ...]) -> None:
    events = [MediaUpload.model_validate(event) for event in upload_events(media)]
    assert [event.content_type for event in events] == ["image", "image", "video", "video"]
    assert len({event.media_id for event in events}) == len(media)


def version(role: str) -> ModelVersion:
    return ModelVersion(name=f"a-{role}", role=role, version="1", sha256="0" * 64, provider="cpu")


def test_a_model_set_that_asks_for_synthetic_faces_only_is_said_to_be_one(media: tuple[DemoMedia, ...]) -> None:
    verdict = VERDICT.model_copy(update={"label": Label.INCONCLUSIVE, "models": (version("synthetic"),)})
    said = " ".join(limits(media, [verdict] * 4))
    assert "Nothing in it asks whether a real face was altered" in said
    assert "false alarm" not in said


def test_false_alarms_and_finds_are_said(media: tuple[DemoMedia, ...]) -> None:
    models = (version("primary"),)
    labels = (Label.MANIPULATED, Label.AUTHENTIC, Label.AUTHENTIC, Label.MANIPULATED)
    verdicts = [VERDICT.model_copy(update={"label": label, "models": models}) for label in labels]
    said = " ".join(limits(media, verdicts))
    assert f"(a false alarm): {media[0].path.name}." in said
    assert "Of 2 re-blended files 1 were called manipulated" in said
    assert "Nothing in it asks" not in said
