from datetime import timedelta

from agents.following import Uploads
from schemas.examples import EXAMPLES
from schemas.media import MediaUpload
from schemas.verdict import Progress, ProgressStage, Verdict

UPLOAD = next(event for event in EXAMPLES.values() if isinstance(event, MediaUpload))
VERDICT = next(event for event in EXAMPLES.values() if isinstance(event, Verdict)).model_copy(
    update={"media_id": UPLOAD.media_id, "created_at": UPLOAD.uploaded_at}
)


def progress(stage: ProgressStage, done: int, of: int, frames: int = 0) -> Progress:
    return Progress(
        media_id=UPLOAD.media_id,
        content_id=UPLOAD.content_id,
        tenant=UPLOAD.tenant,
        stage=stage,
        segments_done=done,
        segments=of,
        frames=frames,
        faces=frames,
        at=UPLOAD.uploaded_at,
    )


def test_an_upload_comes_forward_by_its_messages() -> None:
    uploads = Uploads([("clip", UPLOAD)])
    upload = uploads.all[0]
    assert upload.stage == "published"
    assert uploads.take([progress("planned", 0, 2)], 1.0)
    assert upload.stage == "planned"
    uploads.take([progress("segment_done", 1, 2, frames=5)], 2.0)
    assert (upload.stage, upload.segments_done, upload.frames) == ("scoring", 1, 5)
    assert not uploads.complete
    uploads.take([VERDICT], 3.0)
    assert (upload.stage, upload.verdict_at, uploads.complete) == ("verdict", 3.0, True)
    assert uploads.verdicts == [VERDICT]


def test_a_message_that_is_read_again_changes_nothing() -> None:
    uploads = Uploads([("clip", UPLOAD)])
    done = progress("segment_done", 1, 2, frames=5)
    uploads.take([done, done, progress("planned", 0, 2)], 1.0)
    uploads.take([VERDICT], 2.0)
    uploads.take([VERDICT, done], 9.0)
    upload = uploads.all[0]
    assert (upload.segments_done, upload.frames, upload.verdict_at) == (1, 5, 2.0)


def test_a_verdict_on_an_earlier_upload_of_the_same_content_is_not_taken() -> None:
    uploads = Uploads([("clip", UPLOAD)])
    earlier = VERDICT.model_copy(update={"created_at": UPLOAD.uploaded_at - timedelta(hours=1)})
    assert not uploads.take([earlier], 1.0)
    assert not uploads.complete


def test_messages_of_other_uploads_are_passed_over() -> None:
    uploads = Uploads([])
    assert not uploads.take([VERDICT, progress("planned", 0, 1)], 1.0)
    assert uploads.complete
