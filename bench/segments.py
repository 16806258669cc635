"""Segments to score, planned as the uploads agent plans them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agents.assembly import decoder_policy, fetcher
from agents.inspection import Inspected, Inspector
from agents.model_set import selection
from agents.plans import plan
from agents.runtime.metrics import Metrics
from models.policy import DEFAULT_POLICY
from schemas.media import AnalysisOptions, MediaRef, MediaUpload, Segment
from tests.support.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans the same clip again and again, each time as another upload."""

    fleet: Fleet
    clip: Path
    rate_fps: float
    inspected: Inspected

    def segments(self, names: Sequence[str]) -> list[Segment]:
        """Return a segment, the whole clip, for each name."""
        now = datetime.now(UTC)
        models = selection(self.fleet.settings.models)
        segments: list[Segment] = []
        for name in names:
            upload = upload_of(self.clip, name, self.rate_fps)
            segments += plan(
                upload,
                self.inspected.info,
                self.inspected.key_frames_ms,
                moving=self.inspected.moving,
                segment_s=self.fleet.settings.uploads.segment_s,
                model_set=models.fingerprint(str(upload.media_id)),
                policy=DEFAULT_POLICY.reference,
                received_at=now,
                planned_at=now,
            )
        return segments


def planner(fleet: Fleet, clip: Path, rate_fps: float) -> Planner:
    """Return a planner of a clip that lies in the fleet's folder."""
    settings = fleet.settings
    inspector = Inspector(fetcher(settings.media), decoder_policy(settings, 1), Metrics(), trust_declared_sha256=False)
    inspector.open()
    try:
        return Planner(fleet, clip, rate_fps, inspector.inspect(upload_of(clip, clip.name, rate_fps)))
    finally:
        inspector.close()


def upload_of(path: Path, name: str, rate_fps: float = 1.0) -> MediaUpload:
    """Return the upload event of a file."""
    return MediaUpload(
        content_id=name,
        uploader_id="bench",
        media=MediaRef(uri=path.as_uri()),
        options=AnalysisOptions(sample_rate_fps=rate_fps),
        uploaded_at=datetime.now(UTC),
    )
