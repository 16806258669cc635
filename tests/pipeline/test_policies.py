"""Whose policy decides: from the tenant of an upload, over its segments, to the verdict."""

from pathlib import Path

from schemas.media import Segment
from tests.pipeline.conftest import NewFleet
from tests.support.fleet import headers_of
from tests.support.media import Clip, MediaFolder, image_bytes, photograph
from topics import catalogue


def test_uploads_are_planned_and_decided_by_the_policy_of_their_tenant_and_kind(
    new_fleet: NewFleet, media: MediaFolder, tiny_manifest: Path
) -> None:
    fleet = new_fleet(
        FLEET_MODELS__MANIFEST=str(tiny_manifest),
        FLEET_POLICIES__DEFAULT="strict",
        FLEET_POLICIES__TENANTS='{"gallery": {"image": "lenient"}, "paper": "seed"}',
    )
    still = media.write("still.jpg", image_bytes(photograph(), "JPEG"))
    broken = media.write("broken.jpg", b"no picture")
    clip = media.clip(Clip(width=256, height=256, fps=10, frames=20, gop=20))
    with fleet.running("uploads", "segments"):
        fleet.publish(
            catalogue.UPLOADS,
            [
                fleet.upload(still, "gallery-still", tenant="gallery"),
                fleet.upload(clip, "gallery-clip", tenant="gallery"),
                fleet.upload(still, "paper-still", tenant="paper"),
                fleet.upload(still, "other-still", tenant="other"),
                fleet.upload(broken, "paper-broken", tenant="paper"),
            ],
        )
        verdicts = fleet.await_verdicts(5)
    planned = {segment.upload.content_id: segment.policy for segment in fleet.events(catalogue.SEGMENTS, Segment)}
    expected = {
        "gallery-still": "lenient/1",
        "gallery-clip": "strict/1",
        "paper-still": "seed/1",
        "other-still": "strict/1",
    }
    assert planned == expected
    decided = {name: found.reproduction.policy for name, found in verdicts.items() if found.reproduction is not None}
    assert decided == expected
    assert verdicts["paper-broken"].reproduction is None
    assert verdicts["other-still"].reused_from is None, "another policy is another question"


def test_a_segment_of_a_policy_that_no_worker_has_is_a_dead_letter_and_is_decided_once_it_is_deployed(
    new_fleet: NewFleet, media: MediaFolder, tiny_manifest: Path, tmp_path: Path
) -> None:
    newer = tmp_path / "policies.yaml"
    newer.write_text(
        "policies: [{name: news, version: 1, description: New., combination: {kind: calibrated}, min_faces: 1}]"
    )
    fleet = new_fleet(FLEET_MODELS__MANIFEST=str(tiny_manifest))
    ahead = fleet.settings.model_copy(
        update={"policies": fleet.settings.policies.model_copy(update={"file": newer, "default": "news"})}
    )
    still = media.write("still.jpg", image_bytes(photograph(), "JPEG"))
    with fleet.running("segments"), fleet.running("uploads", settings=ahead):
        fleet.publish(catalogue.UPLOADS, [fleet.upload(still, "still")])
        (dead,) = fleet.await_messages(catalogue.SEGMENTS.dead_letter_name, 1)
    headers = headers_of(dead)
    assert headers["dlq-reason"] == "policy_unknown"
    assert "news/1" in headers["dlq-detail"]
    assert fleet.messages(catalogue.VERDICTS.name) == []
    value = dead.value()
    assert value is not None
    with fleet.running("segments", settings=ahead):
        fleet.publish_raw(catalogue.SEGMENTS, value if isinstance(value, bytes) else value.encode())
        fleet.flush()
        found = fleet.await_verdicts(1)["still"]
    assert found.reproduction is not None
    assert found.reproduction.policy == "news/1"
