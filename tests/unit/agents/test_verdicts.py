from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import numpy as np
import pytest

from agents.analysis import Failure, SegmentResult, load_result
from agents.media.exceptions import MediaError, MediaErrorKind
from agents.models_used import ModelUsed
from agents.verdicts import alert, repeated, unread, verdict
from models.evidence import FrameEvidence
from models.fusion import logit
from models.inference.installed import DISTRIBUTIONS, installed_runtimes
from models.policy import DEFAULT_POLICY, Policy
from models.scenes import view
from schemas.examples import SEGMENT, UPLOAD
from schemas.media import AnalysisOptions, ContentType, Segment
from schemas.verdict import (
    Axis,
    Label,
    Outcome,
    RecommendedAction,
    RiskLevel,
    Verdict,
)
from tests.support.evidence import POOR, RIGHT, clip, face, frame

NOW = SEGMENT.received_at + timedelta(seconds=3)
SCREEN = ModelUsed(
    name="screen-a",
    role="screen",
    version="1",
    sha256="0" * 64,
    provider="cpu",
    provider_reason="asked for",
    preprocessing="abc",
    threshold=0.5,
    thresholds={},
)
GREY = b64encode(view(np.full((90, 160, 3), 128, np.uint8))).decode()
WHITE = b64encode(view(np.full((90, 160, 3), 255, np.uint8))).decode()


def result(
    frames: Sequence[FrameEvidence] = (), index: int = 0, failure: Failure | None = None, *, seen: str = GREY
) -> SegmentResult:
    return SegmentResult(
        index=index,
        start_s=10.0 * index,
        end_s=10.0 * (index + 1),
        frames=tuple(frames),
        model_set="models",
        started_at_ms=int(SEGMENT.planned_at.timestamp() * 1000) + 50,
        failure=failure,
        models=(SCREEN,) if frames else (),
        first_view=seen if frames else "",
        last_view=seen if frames else "",
        seconds={"fetch": 0.1, "decode": 0.2, "faces": 0.3, "score": 0.4},
    )


def judged(
    *results: SegmentResult,
    segment: Segment = SEGMENT,
    policy: Policy = DEFAULT_POLICY,
    timeline_frames: int = 32,
) -> Verdict:
    return verdict(segment, results, policy, timeline_frames=timeline_frames, now=NOW)


def later(frames: Sequence[FrameEvidence], by_s: int) -> tuple[FrameEvidence, ...]:
    return tuple(replace(one, pts_ms=one.pts_ms + 1000 * by_s, frame_number=one.frame_number + by_s) for one in frames)


def detailed(segment: Segment = SEGMENT) -> Segment:
    options = AnalysisOptions(detailed_timeline=True)
    return segment.model_copy(update={"upload": UPLOAD.model_copy(update={"options": options})})


MANIPULATED = clip("screen-a", [logit(0.97)] * 5)
CLEAN = clip("screen-a", [logit(0.05)] * 5)
GONE = Failure("unreachable", "the origin answered 404")


def test_a_manipulated_clip_is_scored_labelled_and_advised_on() -> None:
    found = judged(result(MANIPULATED))
    assert (found.outcome, found.label, found.reason) == (Outcome.SCORED, Label.MANIPULATED, None)
    assert found.manipulation_score == pytest.approx(0.97)
    assert found.risk_level is RiskLevel.CRITICAL
    assert found.recommendation.action is RecommendedAction.BLOCK
    assert found.quality is not None
    assert found.quality.coverage == 1.0
    assert Verdict.model_validate_json(found.model_dump_json()) == found


def test_a_verdict_speaks_of_the_upload_that_asked() -> None:
    found = judged(result(CLEAN))
    assert (found.content_id, found.uploader_id, found.tenant) == ("clip-4711", "user-42", "default")
    assert found.created_at == UPLOAD.uploaded_at
    assert found.media == SEGMENT.info
    assert found.content_type is ContentType.VIDEO
    assert found.processing_time_ms == pytest.approx(3000)


def test_segments_are_joined_whichever_of_them_decides() -> None:
    segments = [SEGMENT.model_copy(update={"index": index, "of": 2}) for index in range(2)]
    results = (result(CLEAN, 0), result(later(MANIPULATED, 10), 1))
    one, other = (judged(*results, segment=segment) for segment in segments)
    assert one == other
    assert one.label is Label.MANIPULATED
    assert [analysed.score for analysed in one.segments] == [pytest.approx(0.05), pytest.approx(0.97)]
    assert [analysed.frames for analysed in one.segments] == [5, 5]


def test_a_face_that_goes_on_over_the_edge_of_a_segment_is_one_track() -> None:
    found = judged(result(CLEAN, 0), result(later(CLEAN, 5), 1))
    assert found.quality is not None
    assert found.quality.tracks == 1


def test_a_scene_that_ends_at_the_edge_of_a_segment_ends_its_tracks() -> None:
    found = judged(result(CLEAN, 0), result(later(CLEAN, 5), 1, seen=WHITE))
    assert found.quality is not None
    assert found.quality.tracks == 2


def test_of_media_read_in_part_what_was_read_is_judged_with_less_confidence() -> None:
    whole, part = judged(result(MANIPULATED)), judged(result(MANIPULATED), result(index=1, failure=GONE))
    assert (part.outcome, part.label) == (Outcome.SCORED, Label.MANIPULATED)
    assert part.quality is not None
    assert part.quality.coverage == 0.5
    assert part.confidence_score == pytest.approx(whole.confidence_score / 2)
    assert [analysed.failure for analysed in part.segments] == [None, "unreachable: the origin answered 404"]


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("unreachable", Outcome.UNREACHABLE),
        ("forbidden", Outcome.UNREACHABLE),
        ("undecodable", Outcome.UNDECODABLE),
        ("unsupported", Outcome.UNSUPPORTED),
        ("too_large", Outcome.UNSUPPORTED),
    ],
)
def test_media_of_which_nothing_could_be_read_get_a_typed_verdict(kind: MediaErrorKind, outcome: Outcome) -> None:
    found = judged(*(result(index=index, failure=Failure(kind, "so it is")) for index in range(2)))
    assert (found.outcome, found.reason) == (outcome, "so it is")
    assert found.label is Label.INCONCLUSIVE
    assert (found.manipulation_score, found.confidence_score, found.risk_level) == (None, 0.0, None)
    assert found.recommendation.action is RecommendedAction.REVIEW
    planned = unread(UPLOAD, MediaError(kind, "so it is"), DEFAULT_POLICY, received_at=NOW, now=NOW)
    assert (planned.outcome, planned.reason, planned.label) == (outcome, "so it is", Label.INCONCLUSIVE)
    assert planned.recommendation == found.recommendation


def test_media_without_a_frame_are_undecodable() -> None:
    found = judged(result())
    assert (found.outcome, found.reason) == (Outcome.UNDECODABLE, "no frame could be decoded")


def test_media_without_a_face_say_so_and_are_let_pass() -> None:
    found = judged(result([frame(0), frame(1)]))
    assert found.outcome is Outcome.NO_FACE
    assert found.label is Label.INCONCLUSIVE
    assert found.recommendation.action is RecommendedAction.ALLOW
    assert found.manipulation_score is None


def test_media_whose_faces_are_too_poor_are_for_people_to_look_at() -> None:
    found = judged(result([frame(0, face(quality=POOR))]))
    assert (found.outcome, found.label) == (Outcome.SCORED, Label.INCONCLUSIVE)
    assert found.reason == "no face was good enough to judge: too small in 1 of 1"
    assert found.recommendation.action is RecommendedAction.REVIEW
    assert found.frames[0].faces[0].scores == {}
    assert found.frames[0].score is None


def test_the_quality_of_the_evidence_is_told() -> None:
    frames = [
        frame(0, face({"screen-a": 0.0}), face({"screen-a": 0.0}, box=RIGHT)),
        frame(1, face(quality=POOR)),
        frame(2),
    ]
    quality = judged(result(frames)).quality
    assert quality is not None
    assert (quality.frames_analyzed, quality.frames_with_face) == (3, 2)
    assert (quality.faces, quality.usable_faces, quality.tracks) == (3, 2, 2)
    assert (quality.median_face_px, quality.median_sharpness, quality.median_exposure) == (120.0, 0.6, 0.95)


def test_a_short_timeline_holds_the_most_suspicious_frames_in_order_of_time() -> None:
    frames = clip("screen-a", [logit(score) for score in (0.1, 0.9, 0.2, 0.8, 0.3)])
    found = judged(result(frames), timeline_frames=2)
    assert [shown.frame_number for shown in found.frames] == [1, 3]
    assert judged(result(frames), timeline_frames=0).frames == ()


def test_a_detailed_timeline_holds_every_frame() -> None:
    frames = [*clip("screen-a", [0.0] * 5), frame(5)]
    found = judged(result(frames), segment=detailed(), timeline_frames=2)
    assert [shown.frame_number for shown in found.frames] == list(range(6))
    assert found.frames[-1].score is None


def test_a_frame_scores_as_its_most_suspicious_face() -> None:
    found = judged(result([frame(0, face({"screen-a": logit(0.2)}), face({"screen-a": logit(0.7)}, box=RIGHT))]))
    assert found.frames[0].score == pytest.approx(0.7)
    assert [shown.scores for shown in found.frames[0].faces] == [
        {"screen-a": pytest.approx(0.2)},
        {"screen-a": pytest.approx(0.7)},
    ]


def with_liveness(frames: Sequence[FrameEvidence], threshold: float = 0.5) -> SegmentResult:
    liveness = replace(SCREEN, name="liveness-a", role="liveness", threshold=threshold)
    return replace(result(frames), models=(SCREEN, liveness))


def test_liveness_is_no_part_of_the_score_of_a_frame() -> None:
    frames = [frame(0, face({"screen-a": logit(0.2), "liveness-a": logit(0.9)}))]
    found = judged(with_liveness(frames))
    assert found.frames[0].score == pytest.approx(0.2)
    assert found.segments[0].score == pytest.approx(0.2)
    assert found.frames[0].faces[0].scores["liveness-a"] == pytest.approx(0.9)


def test_suspicious_stretches_are_those_above_the_threshold() -> None:
    segment = SEGMENT.model_copy(update={"upload": UPLOAD.model_copy(update={"options": AnalysisOptions()})})
    frames = clip("screen-a", [logit(score) for score in (0.1, 0.9, 0.9, 0.1, 0.1, 0.1, 0.8)])
    found = judged(result(frames), segment=segment)
    assert [(stretch.start_s, stretch.end_s) for stretch in found.suspicious_segments] == [(1.0, 3.0), (6.0, 7.0)]


def test_a_threshold_of_liveness_makes_no_stretch_suspicious() -> None:
    frames = [frame(number, face({"screen-a": logit(0.2), "liveness-a": 0.0})) for number in range(4)]
    assert judged(with_liveness(frames, threshold=0.05)).suspicious_segments == ()


def test_a_still_has_no_stretches_of_time() -> None:
    still = SEGMENT.model_copy(update={"content_type": ContentType.IMAGE, "end_s": 0.0})
    found = judged(result(MANIPULATED[:1]), segment=still)
    assert found.suspicious_segments == ()
    assert found.confidence_score == pytest.approx(0.97), "one face is all that a still can give"


def test_a_verdict_says_what_it_takes_to_get_it_again() -> None:
    reproduction = judged(result(CLEAN)).reproduction
    assert reproduction is not None
    assert reproduction.model_set == "models"
    assert reproduction.plan_fingerprint == SEGMENT.plan_fingerprint
    assert reproduction.policy == "default/2"
    assert reproduction.preprocessing == {"screen-a": "abc"}
    assert reproduction.thresholds == {
        "axis.manipulation": pytest.approx(0.5),
        "detector.screen-a": 0.5,
        "policy.authentic_below": 0.4,
    }
    assert reproduction.libraries["av"] == version("av")
    # By the name that it has here: onnxruntime-gpu where there is a GPU.
    assert reproduction.libraries.keys() & set(DISTRIBUTIONS) == set(installed_runtimes())
    assert judged(result(CLEAN)).models == (SCREEN.reported,)


def test_segments_scored_by_different_models_say_so() -> None:
    reproduction = judged(
        replace(result(CLEAN), model_set="new"), replace(result(index=1), model_set="old")
    ).reproduction
    assert reproduction is not None
    assert reproduction.model_set == "new+old"


def test_timings_are_summed_over_segments() -> None:
    timings = judged(result(CLEAN), result(index=1)).timings
    assert timings.fetch_ms == pytest.approx(200)
    assert timings.decode_ms == pytest.approx(400)
    assert timings.faces_ms == pytest.approx(600)
    assert timings.score_ms == pytest.approx(800)
    assert timings.queued_ms == pytest.approx(50, abs=1)
    assert timings.plan_ms == SEGMENT.plan_ms


def test_the_id_of_a_verdict_depends_on_media_plan_models_and_policy_alone() -> None:
    first = judged(result(CLEAN))
    later_on = verdict(SEGMENT, [result(MANIPULATED)], DEFAULT_POLICY, timeline_frames=1, now=NOW + timedelta(days=1))
    assert later_on.verdict_id == first.verdict_id
    for changed in ({"plan_fingerprint": "other"}, {"model_set": "other"}, {"policy": "default/2"}):
        assert judged(result(CLEAN), segment=SEGMENT.model_copy(update=changed)).verdict_id != first.verdict_id


def test_results_travel_through_redis_unchanged() -> None:
    for one in (result(MANIPULATED), result(index=3, failure=GONE), result([frame(0, face(quality=POOR), cut=True)])):
        assert load_result(one.dump()) == one


def test_an_unread_upload_has_one_verdict_however_often_it_is_read() -> None:
    def attempt(at: datetime) -> Verdict:
        return unread(UPLOAD, MediaError("unreachable", "404"), DEFAULT_POLICY, received_at=at, now=at)

    first, second = attempt(NOW), attempt(NOW + timedelta(hours=1))
    assert first.event_id == second.event_id
    assert first.created_at == UPLOAD.uploaded_at
    assert (first.media, first.content_type, first.reproduction) == (None, None, None)
    damaged = unread(UPLOAD, MediaError("undecodable", ""), DEFAULT_POLICY, received_at=NOW, now=NOW)
    assert damaged.event_id != first.event_id


def test_a_repeated_upload_gets_the_earlier_verdict_as_its_own() -> None:
    earlier = judged(result(MANIPULATED))
    again = UPLOAD.model_copy(
        update={"content_id": "clip-4712", "uploader_id": "user-43", "uploaded_at": datetime(2026, 4, 1, tzinfo=UTC)}
    )
    info = SEGMENT.info.model_copy(update={"etag": "another"})
    repeat = repeated(again, earlier, info, received_at=NOW, now=NOW + timedelta(milliseconds=40))
    assert repeat.verdict_id != earlier.verdict_id
    assert repeat.reused_from == earlier.verdict_id
    assert (repeat.content_id, repeat.uploader_id, repeat.media_id) == ("clip-4712", "user-43", again.media_id)
    assert repeat.created_at == again.uploaded_at
    assert repeat.processing_time_ms == pytest.approx(40)
    assert repeat.timings.decode_ms == 0.0
    assert repeat.media == info
    same = ("label", "manipulation_score", "confidence_score", "axes", "frames", "recommendation", "reproduction")
    assert [getattr(repeat, name) for name in same] == [getattr(earlier, name) for name in same]
    assert Verdict.model_validate_json(repeat.model_dump_json()) == repeat


def test_a_repeat_of_a_repeat_refers_to_the_first() -> None:
    earlier = judged(result(CLEAN))
    again = UPLOAD.model_copy(update={"content_id": "clip-4712"})
    once = repeated(again, earlier, SEGMENT.info, received_at=NOW, now=NOW)
    twice = repeated(
        UPLOAD.model_copy(update={"content_id": "clip-4713"}), once, SEGMENT.info, received_at=NOW, now=NOW
    )
    assert twice.reused_from == earlier.verdict_id
    assert repeated(again, earlier, SEGMENT.info, received_at=NOW, now=NOW).verdict_id == once.verdict_id


def test_a_verdict_that_advises_to_block_raises_an_alert() -> None:
    found = judged(result([*MANIPULATED, frame(5, face(quality=POOR))]), segment=detailed())
    raised = alert(found)
    assert raised is not None
    assert (raised.subject, raised.content_id, raised.verdict_id) == (
        str(found.media_id),
        found.content_id,
        found.verdict_id,
    )
    assert (raised.episode, raised.transition, raised.risk_level) == (0, "raised", RiskLevel.CRITICAL)
    assert raised.score == found.manipulation_score
    assert raised.at == UPLOAD.uploaded_at
    assert raised.window is not None
    assert (raised.window.frames, raised.window.faces) == (5, 5), "judged ones only"
    assert (raised.window.start_ms, raised.window.end_ms) == (0, 4000)
    assert raised.window.peak_score == pytest.approx(0.97)
    assert alert(found) == raised


def test_an_alert_without_a_timeline_has_no_window() -> None:
    raised = alert(judged(result(MANIPULATED), timeline_frames=0))
    assert raised is not None
    assert raised.window is None


@pytest.mark.parametrize(
    "quiet",
    [
        judged(result(CLEAN)),
        judged(result(clip("screen-a", [logit(0.6)] * 4))),
        judged(result([frame(0)])),
        judged(result(failure=GONE)),
        unread(UPLOAD, MediaError("unreachable", ""), DEFAULT_POLICY, received_at=NOW, now=NOW),
    ],
    ids=["authentic", "medium risk", "no face", "unreadable", "unread"],
)
def test_other_verdicts_raise_none(quiet: Verdict) -> None:
    assert alert(quiet) is None


def test_the_axes_of_a_verdict_are_those_that_were_asked() -> None:
    frames = [frame(0, face({"screen-a": 0.0, "liveness-a": 0.0}))]
    assert [axis.axis for axis in judged(with_liveness(frames)).axes] == [
        Axis.MANIPULATION,
        Axis.LIVENESS,
    ]


def test_media_in_which_faces_could_not_be_looked_for_are_not_said_to_have_none() -> None:
    found = judged(result([replace(frame(0), unseen="centerface")]))
    assert (found.outcome, found.label) == (Outcome.SCORED, Label.INCONCLUSIVE)
    assert found.reason == "centerface answered 1 frame with no number"
    assert found.recommendation.action is RecommendedAction.REVIEW
    assert judged(result([frame(0)])).outcome is Outcome.NO_FACE
