"""A worker that is killed half-way loses nothing and doubles nothing."""

import struct
from collections import Counter
from pathlib import Path

from schemas.media import MediaUpload
from schemas.verdict import Outcome, Verdict
from tests.pipeline.conftest import NewFleet
from tests.support.fleet import Fleet
from tests.support.media import Clip, MediaFolder, image_bytes, photograph
from topics import catalogue

_UPLOADS = 200
_COUNTS = (
    "SELECT count(*), count(DISTINCT verdict_id), count(DISTINCT content_id) FROM deepfake_detection.analysis_results"
)


def mixed_uploads(fleet: Fleet, media: MediaFolder, count: int) -> list[MediaUpload]:
    """Uploads of stills and clips, no two of the same bytes: one of four is a clip of three segments."""
    still = image_bytes(photograph(), "JPEG", quality=80)
    clip = media.clip(Clip(width=192, height=192, fps=5, frames=30, gop=10)).read_bytes()
    uploads = []
    for number in range(count):
        # Bytes behind a JPEG's end, and a free box behind an MP4's, change the file and not the picture.
        mark = struct.pack(">Q", number)
        if number % 4 == 0:
            path = media.write(f"{number}.mp4", clip + struct.pack(">I4s", 8 + len(mark), b"free") + mark)
        else:
            path = media.write(f"{number}.jpg", still + mark)
        uploads.append(fleet.upload(path, f"content-{number}"))
    return uploads


def test_200_uploads_survive_the_kill_of_one_of_two_workers(
    new_fleet: NewFleet, media: MediaFolder, tiny_manifest: Path
) -> None:
    fleet = new_fleet(FLEET_MODELS__MANIFEST=str(tiny_manifest), FLEET_UPLOADS__SEGMENT_S="2")
    uploads = mixed_uploads(fleet, media, _UPLOADS)
    with fleet.running("uploads", "sink"), fleet.spawned("segments", "segments") as (victim, _):
        fleet.publish(catalogue.UPLOADS, uploads)
        fleet.await_verdicts(_UPLOADS // 2, timeout_s=100)
        victim.kill()
        assert victim.wait() == -9
        verdicts = fleet.await_verdicts(_UPLOADS, timeout_s=100)
        fleet.await_that(lambda: fleet.rows(_COUNTS) == [(_UPLOADS,) * 3], "200 rows", timeout_s=30)
    assert {verdict.outcome for verdict in verdicts.values()} == {Outcome.SCORED}
    # Every message of one content carries one verdict id: what was read again came to the same.
    ids = Counter(
        content_id
        for content_id, _ in {(v.content_id, v.verdict_id) for v in fleet.events(catalogue.VERDICTS, Verdict)}
    )
    assert len(ids) == _UPLOADS
    assert set(ids.values()) == {1}
    stored = {(str(content), str(verdict)) for content, verdict in fleet.rows(_IDS)}
    assert stored == {(verdict.content_id, str(verdict.verdict_id)) for verdict in verdicts.values()}
    for topic in ("media.uploads.dlq", "media.segments.dlq", "deepfake.verdicts.dlq"):
        assert fleet.messages(topic) == []


_IDS = "SELECT content_id, verdict_id FROM deepfake_detection.analysis_results"
