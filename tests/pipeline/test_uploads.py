"""The whole way: an upload event in, a verdict on its topic and rows in the database out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agents.assembly import scorer
from agents.model_set import LoadedModels
from agents.runtime.messages import Handled, Incoming
from agents.runtime.metrics import Metrics
from agents.segments import Segments
from schemas.media import AnalysisOptions, Priority, Segment
from schemas.moderation import Alert
from schemas.verdict import Label, Outcome, Progress, RecommendedAction, Verdict
from tests.pipeline.conftest import NewFleet
from tests.support.fleet import Fleet, headers_of
from tests.support.media import Clip, MediaFolder, clip_frame, image_bytes, photograph
from topics import catalogue

PORTRAIT = Clip(width=512, height=512, fps=10, frames=40, gop=20)


def test_a_still_and_a_clip_become_verdicts_and_rows(scoring_fleet: Fleet, media: MediaFolder) -> None:
    fleet = scoring_fleet
    still = media.write("still.jpg", image_bytes(photograph(), "JPEG", quality=95))
    clip = media.clip(PORTRAIT)
    with fleet.running("uploads", "segments", "sink"):
        fleet.publish(catalogue.UPLOADS, [fleet.upload(still, "still"), fleet.upload(clip, "clip")])
        verdicts = fleet.await_verdicts(2)
        fleet.await_that(lambda: len(fleet.rows(_ROWS)) == 2, "both rows")
    for content_id, verdict in verdicts.items():
        assert verdict.outcome is Outcome.SCORED, content_id
        assert verdict.quality is not None
        assert verdict.quality.usable_faces >= 1
        assert verdict.manipulation_score is not None
        assert [axis.axis for axis in verdict.axes] == ["manipulation"]
        assert {model.name for model in verdict.models} == {"centerface", "tiny"}
        assert verdict.reproduction is not None
        assert verdict.reproduction.policy == "default/2"
        assert verdict.media is not None
        assert (verdict.media.width, verdict.media.height) == (512, 512)
        assert verdict.processing_time_ms > 0
    assert verdicts["still"].content_type == "image"
    assert verdicts["clip"].content_type == "video"
    # One frame a second of four seconds.
    assert [frame.pts_ms for frame in verdicts["clip"].frames] == [0, 1000, 2000, 3000]
    assert {row[0]: row[1] for row in fleet.rows(_ROWS)} == {
        content_id: str(verdict.verdict_id) for content_id, verdict in verdicts.items()
    }
    stages = {(event.content_id, event.stage) for event in fleet.events(catalogue.PROGRESS, Progress)}
    assert stages == {(name, stage) for name in verdicts for stage in ("planned", "segment_done", "verdict")}


def test_one_trace_leads_from_the_upload_to_its_verdict(scoring_fleet: Fleet, media: MediaFolder) -> None:
    fleet = scoring_fleet
    upload = fleet.upload(media.write("still.png", image_bytes(photograph(), "PNG")))
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    header = f"00-{trace}-00f067aa0ba902b7-01".encode()
    with fleet.running("uploads", "segments"):
        fleet.publish_raw(catalogue.UPLOADS, upload.model_dump_json().encode(), {"traceparent": header})
        fleet.flush()
        (message,) = fleet.await_messages("deepfake.verdicts", 1)
    assert headers_of(message)["traceparent"].split("-")[1] == trace
    assert headers_of(message)["schema"] == "verdict/1"


def test_a_long_video_is_scored_in_segments_as_it_is_in_one(
    new_fleet: NewFleet, media: MediaFolder, tiny_manifest: Path
) -> None:
    clip = media.clip(Clip(width=256, height=256, fps=10, frames=200, gop=25))
    options = AnalysisOptions(sample_rate_fps=2, detailed_timeline=True)
    verdicts = []
    for segment_s in ("3", "100"):
        fleet = new_fleet(FLEET_MODELS__MANIFEST=str(tiny_manifest), FLEET_UPLOADS__SEGMENT_S=segment_s)
        with fleet.running("uploads", "segments"):
            fleet.publish(catalogue.UPLOADS, [fleet.upload(clip, "long", options=options)])
            verdicts.append(fleet.await_verdicts(1)["long"])
    many, one = verdicts
    assert len(many.segments) == 7
    assert len(one.segments) == 1
    assert [frame.pts_ms for frame in many.frames] == list(range(0, 20_000, 500))
    assert [(frame.frame_number, frame.score) for frame in many.frames] == [
        (frame.frame_number, frame.score) for frame in one.frames
    ]
    assert many.manipulation_score == one.manipulation_score
    assert many.label is one.label


def test_a_re_upload_is_answered_from_the_earlier_verdict(scoring_fleet: Fleet, media: MediaFolder) -> None:
    fleet = scoring_fleet
    data = image_bytes(photograph(), "JPEG")
    first, copy = media.write("first.jpg", data), media.write("copy.jpg", data)
    with fleet.running("uploads", "segments") as (_, segments):
        fleet.publish(catalogue.UPLOADS, [fleet.upload(first, "first")])
        earlier = fleet.await_verdicts(1)["first"]
        fleet.await_that(lambda: segments.count("fleet_verdicts") == 1, "the verdict to be remembered")
        fleet.publish(catalogue.UPLOADS, [fleet.upload(copy, "copy")])
        again = fleet.await_verdicts(2)["copy"]
        # Asked otherwise, it is scored anew.
        fleet.publish(catalogue.UPLOADS, [fleet.upload(copy, "basic", detection_level="basic")])
        other = fleet.await_verdicts(3)["basic"]
    assert again.reused_from == earlier.verdict_id
    assert again.verdict_id != earlier.verdict_id
    assert again.manipulation_score == earlier.manipulation_score
    assert again.frames == earlier.frames
    assert other.reused_from is None


def test_a_replayed_upload_changes_nothing(scoring_fleet: Fleet, media: MediaFolder) -> None:
    fleet = scoring_fleet
    upload = fleet.upload(media.clip(replace(PORTRAIT, frames=20)), "clip")
    with fleet.running("uploads", "segments", "sink") as (uploads, segments, sink):
        fleet.publish(catalogue.UPLOADS, [upload])
        before = fleet.await_verdicts(1)["clip"]
        fleet.await_that(lambda: len(fleet.rows(_ROWS)) == 1, "the row")
    rows = fleet.rows("SELECT * FROM deepfake_detection.analysis_results")
    for agent in ("uploads", "segments", "sink"):
        fleet.forget_group(agent)
    fleet.execute("DELETE FROM deepfake_detection.sink_offsets")
    with fleet.running("uploads", "segments", "sink") as (uploads, segments, sink):
        fleet.await_that(lambda: uploads.count("fleet_messages_completed") == 1, "the replayed upload")
        fleet.await_that(lambda: segments.count("fleet_messages_completed") >= 1, "the replayed segment")
        fleet.await_that(lambda: sink.count("fleet_messages_completed") >= 1, "the replayed verdict")
        assert segments.count("fleet_frames") == 0  # it was not scored again
    assert {verdict.verdict_id for verdict in fleet.events(catalogue.VERDICTS, Verdict) if not verdict.reused_from} == {
        before.verdict_id
    }
    assert fleet.rows("SELECT * FROM deepfake_detection.analysis_results WHERE reused_from IS NULL") == rows


def test_a_severe_verdict_raises_an_alert(new_fleet: NewFleet, media: MediaFolder, tiny_manifest: Path) -> None:
    bright = clip_frame(PORTRAIT, 0).astype("float32")
    white = (bright * 0.35 + 165).astype("uint8")
    fleet = new_fleet(FLEET_MODELS__MANIFEST=str(tiny_manifest))
    with fleet.running("uploads", "segments", "sink"):
        path = media.write("bright.png", image_bytes(white, "PNG"))
        fleet.publish(catalogue.UPLOADS, [fleet.upload(path, "bright")])
        verdict = fleet.await_verdicts(1)["bright"]
        fleet.await_that(lambda: bool(fleet.rows("SELECT FROM deepfake_detection.alerts")), "the alert's row")
    assert verdict.label is Label.MANIPULATED
    assert verdict.recommendation.action is RecommendedAction.BLOCK
    (alert,) = fleet.events(catalogue.ALERTS, Alert)
    assert alert.verdict_id == verdict.verdict_id
    assert alert.score == verdict.manipulation_score


def test_bulk_uploads_take_the_bulk_lane(scoring_fleet: Fleet, media: MediaFolder) -> None:
    fleet = scoring_fleet
    path = media.write("still.jpg", image_bytes(photograph(), "JPEG"))
    with fleet.running("uploads"):
        fleet.publish(
            catalogue.UPLOADS,
            [fleet.upload(path, "bulk", priority=Priority.BULK), fleet.upload(path, "interactive")],
        )
        fleet.await_messages("media.segments.bulk", 1)
        fleet.await_messages("media.segments", 1)
    assert [s.upload.content_id for s in fleet.events(catalogue.SEGMENTS_BULK, Segment)] == ["bulk"]
    assert [s.upload.content_id for s in fleet.events(catalogue.SEGMENTS, Segment)] == ["interactive"]


def test_an_interactive_upload_overtakes_a_full_bulk_lane(scoring_fleet: Fleet, media: MediaFolder) -> None:
    fleet = scoring_fleet
    path = media.write("still.jpg", image_bytes(photograph(), "JPEG"))
    waiting = 60
    with fleet.running("uploads"):
        fleet.publish(
            catalogue.UPLOADS,
            [fleet.upload(path, f"bulk-{number}", priority=Priority.BULK) for number in range(waiting)]
            + [fleet.upload(path, f"user-{number}") for number in range(10)],
        )
        fleet.await_messages("media.segments.bulk", waiting)
        fleet.await_messages("media.segments", 10)
    metrics = Metrics()
    order: list[str] = []
    agent = Recording(fleet, metrics, order)
    with fleet.running(agent, metrics=metrics):
        fleet.await_that(lambda: len(order) == waiting + 10, "everything to be scored")
    last_user = max(position for position, name in enumerate(order) if name.startswith("user"))
    before = [name for name in order[:last_user] if name.startswith("bulk")]
    # Interactive goes first, and bulk still had its share of the turns, of a fifth.
    assert last_user < 30, order
    assert before, order


class Recording(Segments):
    """Segments, one at a time, writing down their order."""

    def __init__(self, fleet: Fleet, metrics: Metrics, order: list[str]) -> None:
        models = LoadedModels(fleet.settings.models, metrics)
        super().__init__(fleet.settings, scorer(fleet.settings, metrics, models, 1), metrics)
        self.concurrency = 1
        self._order = order

    def handle(self, batch: Sequence[Incoming]) -> Sequence[Handled]:
        self._order.extend(message.event(Segment).upload.content_id for message in batch)
        return super().handle(batch)


_ROWS = "SELECT content_id, verdict_id::text FROM deepfake_detection.analysis_results"
