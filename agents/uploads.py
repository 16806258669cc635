"""The uploads agent: an upload event becomes a plan of segments, an earlier verdict, or a typed verdict."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from agents.control.models import PlannedModels
from agents.inspection import Inspected, Inspector
from agents.keyvalue import connect
from agents.media.exceptions import MediaError
from agents.plans import plan
from agents.policies import policy_book
from agents.runtime.agent import Agent, Lane
from agents.runtime.messages import Handled, Incoming, Outgoing
from agents.settings import Settings
from agents.verdicts import repeated, unread
from agents.windows import EarlierVerdicts
from schemas.media import ContentType, MediaUpload, Priority, Segment
from schemas.verdict import Progress, Verdict
from topics import catalogue

_LANES = {Priority.INTERACTIVE: catalogue.SEGMENTS, Priority.BULK: catalogue.SEGMENTS_BULK}


def _now() -> datetime:
    return datetime.now(UTC)


class Uploads(Agent):
    """Fetches, hashes and probes what was uploaded, and plans its segments.

    Raises:
        PolicyError: the policies of the settings cannot be used.
    """

    name: ClassVar[str] = "uploads"
    produces = (*_LANES.values(), catalogue.VERDICTS, catalogue.PROGRESS)

    def __init__(
        self,
        settings: Settings,
        inspector: Inspector,
        models: PlannedModels,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._settings = settings
        self._inspector = inspector
        self._models = models
        self._policies = policy_book(settings.policies)
        self._now = now
        self._earlier = EarlierVerdicts(connect(settings.redis), settings.redis)
        self.concurrency = settings.uploads.concurrency

    @property
    def lanes(self) -> Sequence[Lane]:
        """Upload events."""
        return (Lane((catalogue.UPLOADS,), max_messages=8 * self.concurrency),)

    def handle(self, batch: Sequence[Incoming]) -> Sequence[Handled]:
        """Plan each upload."""
        return [self._upload(message.event(MediaUpload)) for message in batch]

    def _upload(self, upload: MediaUpload) -> Handled:
        received_at = self._now()
        try:
            inspected = self._inspector.inspect(upload)
            segments = self._plan(upload, inspected, received_at)
        except MediaError as error:
            policy = self._policies.for_content(upload.tenant, None)
            verdict = unread(upload, error, policy, received_at=received_at, now=self._now())
            return Handled((Outgoing(catalogue.VERDICTS, verdict), self._progress(upload, "verdict", 0)))
        earlier = self._earlier.find(inspected.info.sha256, segments[0].plan_fingerprint)
        if earlier is not None:
            verdict = repeated(
                upload,
                Verdict.model_validate_json(earlier),
                inspected.info,
                received_at=received_at,
                now=self._now(),
            )
            return Handled((Outgoing(catalogue.VERDICTS, verdict), self._progress(upload, "verdict", 0)))
        lane = _LANES[upload.priority]
        return Handled(
            (
                *(Outgoing(lane, segment) for segment in segments),
                self._progress(upload, "planned", len(segments)),
            )
        )

    def _plan(self, upload: MediaUpload, inspected: Inspected, received_at: datetime) -> tuple[Segment, ...]:
        longest = self._settings.uploads.max_duration_s
        if inspected.info.duration_s > longest:
            raise MediaError("unsupported", f"{inspected.info.duration_s:.0f} s of video, more than {longest:.0f} s")
        kind = ContentType.VIDEO if inspected.moving else ContentType.IMAGE
        return plan(
            upload,
            inspected.info,
            inspected.key_frames_ms,
            moving=inspected.moving,
            segment_s=self._settings.uploads.segment_s,
            model_set=self._models.fingerprint(str(upload.media_id)),
            policy=self._policies.for_content(upload.tenant, kind).reference,
            received_at=received_at,
            planned_at=self._now(),
        )

    def _progress(self, upload: MediaUpload, stage: "str", segments: int) -> Outgoing:
        return Outgoing(
            catalogue.PROGRESS,
            Progress.model_validate(
                {
                    "media_id": upload.media_id,
                    "content_id": upload.content_id,
                    "tenant": upload.tenant,
                    "stage": stage,
                    "segments_done": 0,
                    "segments": segments,
                    "at": self._now(),
                }
            ),
        )

    def open(self) -> None:
        """Start the decoders, and learn which models will answer."""
        self._inspector.open()
        self._models.open()

    def close(self) -> None:
        """Stop both."""
        self._models.close()
        self._inspector.close()
