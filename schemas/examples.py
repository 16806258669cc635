"""One example of every event: a short clip whose face was swapped, from the upload to the review."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from schemas.control import ModelSwitch, RefusedSwitch, WorkerModel, WorkerReport
from schemas.event import Event
from schemas.identity import alert_id, derive, verdict_id
from schemas.media import AnalysisOptions, ContentType, DetectionLevel, MediaInfo, MediaRef, MediaUpload, Segment
from schemas.moderation import Action, Alert, Review, Transition, WindowStatistics
from schemas.stream import StreamControl, StreamState
from schemas.verdict import (
    Artifact,
    Axis,
    AxisScore,
    Box,
    DetectorScore,
    FaceAnalysis,
    FaceQuality,
    FrameAnalysis,
    HeatMap,
    Label,
    ManipulationKind,
    ManipulationType,
    ModelVersion,
    Outcome,
    Progress,
    QualityMetrics,
    Recommendation,
    RecommendedAction,
    Reproduction,
    RiskLevel,
    SegmentAnalysis,
    SuspiciousSegment,
    Timings,
    Verdict,
)

_UPLOADED_AT = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
_PLAN = "8d1f0c5b7e2a94c36f0b1d27"
_MODEL_SET = "c0ffee5e71a2b3c4d5e6f708"
_POLICY = "default/1"
_CLIP_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_WEIGHTS_SHA256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"

UPLOAD = MediaUpload(
    content_id="clip-4711",
    uploader_id="user-42",
    media=MediaRef(uri="s3://uploads/2026/03/14/clip-4711.mp4", sha256=_CLIP_SHA256),
    content_type=ContentType.VIDEO,
    options=AnalysisOptions(sample_rate_fps=2.0),
    callback="https://moderation.example.org/hooks/deepfake",
    uploaded_at=_UPLOADED_AT,
)

_INFO = MediaInfo(
    sha256=_CLIP_SHA256,
    size_bytes=1_843_200,
    etag="d41d8cd98f00b204e9800998ecf8427e",
    container="mp4",
    codec="h264",
    width=1280,
    height=720,
    duration_s=10.0,
    fps=25.0,
)

SEGMENT = Segment(
    media_id=UPLOAD.media_id,
    upload=UPLOAD,
    info=_INFO,
    content_type=ContentType.VIDEO,
    start_s=0.0,
    end_s=10.0,
    index=0,
    of=1,
    max_frames=600,
    plan_fingerprint=_PLAN,
    model_set=_MODEL_SET,
    policy=_POLICY,
    plan_ms=84.0,
    received_at=_UPLOADED_AT + timedelta(milliseconds=120),
    planned_at=_UPLOADED_AT + timedelta(milliseconds=204),
)

_FRAME = FrameAnalysis(
    frame_number=100,
    pts_ms=4000,
    key_frame=True,
    score=0.97,
    faces=(
        FaceAnalysis(
            track=0,
            box=Box(x=0.41, y=0.18, width=0.14, height=0.31),
            detection_score=0.99,
            quality=FaceQuality(size_px=179.0, sharpness=0.62, exposure=0.94, frontality=0.88, usable=True),
            scores={"screen-a": 0.91, "primary-a": 0.97},
            regions=(Box(x=0.43, y=0.33, width=0.1, height=0.14),),
            heat=HeatMap(left=0.37, top=0.13, width=0.22, height=0.4, cells="AAAAAACA/wAAgP8AAAAAAA=="),
        ),
    ),
)

VERDICT = Verdict(
    verdict_id=verdict_id(UPLOAD.media_id, "whole", _PLAN, _MODEL_SET, _POLICY),
    media_id=UPLOAD.media_id,
    content_id=UPLOAD.content_id,
    uploader_id=UPLOAD.uploader_id,
    tenant=UPLOAD.tenant,
    content_type=ContentType.VIDEO,
    detection_level=DetectionLevel.STANDARD,
    outcome=Outcome.SCORED,
    label=Label.MANIPULATED,
    manipulation_score=0.96,
    confidence_score=0.96,
    risk_level=RiskLevel.CRITICAL,
    axes=(
        AxisScore(
            axis=Axis.MANIPULATION,
            score=0.96,
            threshold=0.5,
            detectors=(
                DetectorScore(
                    detector="screen-a", axis=Axis.MANIPULATION, score=0.89, threshold=0.5, weight=0.3, faces=20
                ),
                DetectorScore(
                    detector="primary-a", axis=Axis.MANIPULATION, score=0.97, threshold=0.5, weight=0.7, faces=20
                ),
            ),
        ),
    ),
    manipulation_types=(ManipulationType(kind=ManipulationKind.UNKNOWN, probability=0.96),),
    frames=(_FRAME,),
    segments=(SegmentAnalysis(index=0, start_s=0.0, end_s=10.0, frames=20, faces=20, score=0.97),),
    suspicious_segments=(
        SuspiciousSegment(start_s=2.5, end_s=8.0, severity=RiskLevel.HIGH, mean_score=0.94, peak_score=0.97, frames=11),
    ),
    artifacts=(
        Artifact(kind="blending_boundary", score=0.61, weight=0.0, region=Box(x=0.42, y=0.3, width=0.11, height=0.15)),
        Artifact(kind="texture", score=0.34, weight=0.0),
    ),
    quality=QualityMetrics(
        frames_analyzed=20,
        frames_with_face=20,
        faces=20,
        usable_faces=20,
        tracks=1,
        median_face_px=176.0,
        median_sharpness=0.6,
        median_exposure=0.94,
        coverage=1.0,
    ),
    recommendation=Recommendation(
        action=RecommendedAction.BLOCK,
        reason="In the worst track a face looks altered.",
        checks=("Look at the most suspicious frames at full size.",),
    ),
    media=_INFO,
    models=(
        ModelVersion(
            name="primary-a",
            role="primary",
            version="1",
            sha256=_WEIGHTS_SHA256,
            provider="CPUExecutionProvider",
        ),
    ),
    reproduction=Reproduction(
        model_set=_MODEL_SET,
        plan_fingerprint=_PLAN,
        policy=_POLICY,
        preprocessing={"primary-a": "5d41402abc4b2a76"},
        thresholds={"axis.manipulation": 0.5, "detector.primary-a": 0.5},
        libraries={"av": "18.1.0", "onnxruntime": "1.32.0"},
    ),
    timings=Timings(queued_ms=12.0, plan_ms=84.0, fetch_ms=31.0, decode_ms=410.0, faces_ms=620.0, score_ms=380.0),
    processing_time_ms=1584.0,
    created_at=_UPLOADED_AT,
)

PROGRESS = Progress(
    media_id=UPLOAD.media_id,
    content_id=UPLOAD.content_id,
    tenant=UPLOAD.tenant,
    stage="segment_done",
    segments_done=1,
    segments=1,
    frames=20,
    faces=20,
    at=_UPLOADED_AT + timedelta(milliseconds=1700),
)

ALERT = Alert(
    alert_id=alert_id(str(UPLOAD.media_id), 0, Transition.RAISED),
    tenant=UPLOAD.tenant,
    subject=str(UPLOAD.media_id),
    content_id=UPLOAD.content_id,
    content_type=ContentType.VIDEO,
    episode=0,
    transition=Transition.RAISED,
    risk_level=RiskLevel.CRITICAL,
    score=0.96,
    reason=VERDICT.recommendation.reason,
    window=WindowStatistics(frames=1, faces=1, mean_score=0.97, peak_score=0.97, start_ms=4000, end_ms=4000),
    verdict_id=VERDICT.verdict_id,
    model_set=_MODEL_SET,
    policy=_POLICY,
    at=_UPLOADED_AT,
)

ACTION = Action(
    action_id=derive("action", str(ALERT.alert_id), "webhook", "1"),
    alert_id=ALERT.alert_id,
    tenant=ALERT.tenant,
    subject=ALERT.subject,
    kind="webhook",
    state="delivered",
    target="moderation.example.org",
    detail="204 No Content",
    at=_UPLOADED_AT + timedelta(seconds=2),
)

REVIEW = Review(
    verdict_id=VERDICT.verdict_id,
    content_id=VERDICT.content_id,
    reviewer_id="moderator-7",
    label=Label.MANIPULATED,
    note="The outline of the jaw flickers from 3 s on.",
    at=_UPLOADED_AT + timedelta(hours=2),
)

STREAM_CONTROL = StreamControl(
    stream_id="live-0815",
    command="start",
    url="rtmp://live.example.org/app/live-0815",
    sample_rate_fps=5.0,
    server="edge",
    at=_UPLOADED_AT,
)

STREAM_STATE = StreamState(
    stream_id=STREAM_CONTROL.stream_id,
    tenant=STREAM_CONTROL.tenant,
    phase="live",
    worker="streams-0",
    lease=7,
    connections=2,
    next_seq=1_043,
    received_fps=25.0,
    published_fps=5.0,
    codec="h264",
    width=1280,
    height=720,
    at=_UPLOADED_AT + timedelta(minutes=4),
)

MODEL_SWITCH = ModelSwitch(
    role="primary",
    models=("blend_primary",),
    canary=("blend_primary_fp32",),
    canary_share=0.1,
    by="operator@ops.example.org",
    at=_UPLOADED_AT,
)

WORKER_REPORT = WorkerReport(
    worker="segments-0",
    agent="segments",
    state="serving",
    models=(
        WorkerModel(
            role="primary",
            wanted="blend_primary",
            name="blend_primary",
            version="2",
            share=0.9,
            provider="cpu",
            reason="first that opened; golden vector to 0.1",
            stands_in=False,
        ),
    ),
    refused=(
        RefusedSwitch(
            role="synthetic",
            models=("clip_large",),
            reason="clip_large: name: no such entry",
            at=_UPLOADED_AT,
        ),
    ),
    started_at=_UPLOADED_AT,
    at=_UPLOADED_AT + timedelta(seconds=30),
)

EXAMPLES: Mapping[str, Event] = {
    example.schema_name: example
    for example in (
        UPLOAD,
        SEGMENT,
        VERDICT,
        PROGRESS,
        ALERT,
        ACTION,
        REVIEW,
        STREAM_CONTROL,
        STREAM_STATE,
        MODEL_SWITCH,
        WORKER_REPORT,
    )
}
"""By the name of the schema."""
