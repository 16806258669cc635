"""Judging local files in this process: what uploads and segments do, without the topics between them."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from agents.assembly import decoder_policy, fetcher, scorer
from agents.decoders import Decoders
from agents.inspection import Inspector
from agents.media.exceptions import MediaError
from agents.media.frames import FramePlan
from agents.model_set import LoadedModels, selection
from agents.plans import plan
from agents.policies import policy_book
from agents.runtime.metrics import Metrics
from agents.settings import Settings
from agents.verdicts import unread, verdict
from schemas.media import AnalysisOptions, ContentType, DetectionLevel, MediaRef, MediaUpload
from schemas.verdict import Verdict

_UPLOADER = "fleet-scan"
_WITHIN_S = 0.05
"""The frame at a time is the first of this range from it on, seconds."""


def _now() -> datetime:
    return datetime.now(UTC)


class Scanner:
    """Judges files. A context manager: inside it the models are loaded and decoder processes run.

    Raises:
        ModelError: on entering, when a model cannot be had or does not load.
    """

    def __init__(self, settings: Settings, files: Iterable[Path], now: Callable[[], datetime] = _now) -> None:
        """Allow nothing to be read but the folders that `files` lie in.

        Raises:
            PolicyError: the policies of the settings cannot be used.
        """
        folders = tuple(sorted({file.resolve().parent for file in files}))
        media = settings.media.model_copy(update={"allowed_roots": folders, "allowed_schemes": ("file",)})
        self._settings = settings.model_copy(update={"media": media})
        self._now = now
        self._policies = policy_book(settings.policies)
        metrics = Metrics()
        self._inspector = Inspector(fetcher(media), decoder_policy(settings, 1), metrics, trust_declared_sha256=False)
        self._scorer = scorer(self._settings, metrics, LoadedModels(settings.models, metrics), 1)
        self._pictures = Decoders(decoder_policy(settings, 1), metrics)
        self._fetcher = fetcher(media)

    def __enter__(self) -> Self:
        try:
            self._inspector.open()
            self._scorer.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the models and end the decoders."""
        self._inspector.close()
        self._scorer.close()
        self._pictures.close()
        self._fetcher.close()

    def upload(self, file: Path, level: DetectionLevel, options: AnalysisOptions) -> MediaUpload:
        """Return the upload event that a content pipeline would publish for `file`."""
        return MediaUpload(
            content_id=file.name[:256],
            uploader_id=_UPLOADER,
            media=MediaRef(uri=file.resolve().as_uri()),
            detection_level=level,
            options=options,
            uploaded_at=self._now(),
        )

    def judge(self, upload: MediaUpload) -> Verdict:
        """Return the verdict on a file; one that cannot be read has a typed verdict as well.

        Raises:
            ModelError: a model failed.
            Unavailable: no decoder process comes up.
        """
        received_at = self._now()
        try:
            inspected = self._inspector.inspect(upload)
        except MediaError as error:
            policy = self._policies.for_content(upload.tenant, None)
            return unread(upload, error, policy, received_at=received_at, now=self._now())
        kind = ContentType.VIDEO if inspected.moving else ContentType.IMAGE
        policy = self._policies.for_content(upload.tenant, kind)
        segments = plan(
            upload,
            inspected.info,
            inspected.key_frames_ms,
            moving=inspected.moving,
            segment_s=self._settings.uploads.segment_s,
            model_set=selection(self._settings.models).fingerprint(str(upload.media_id)),
            policy=policy.reference,
            received_at=received_at,
            planned_at=self._now(),
        )
        results = [self._scorer.score(segment, int(self._now().timestamp() * 1000)) for segment in segments]
        return verdict(
            segments[0],
            results,
            policy,
            fusion=self._scorer.fusion,
            timeline_frames=self._settings.segments.timeline_frames,
            now=self._now(),
        )

    def picture(self, upload: MediaUpload, pts_ms: int) -> NDArray[np.uint8] | None:
        """Return the frame at a time of a judged file, uint8 [H, W, 3] RGB upright; none where it cannot be had."""
        self._pictures.open()
        start_s = pts_ms / 1000
        max_side = self._settings.media.max_side
        at = FramePlan(start_s=start_s, end_s=start_s + _WITHIN_S, max_frames=1, max_side=max_side)
        picture = None
        try:
            with (
                self._fetcher.open(upload.media.uri) as source,
                self._pictures.use() as decoders,
                decoders.frames(source, at) as frames,
            ):
                for frame in frames:
                    with frame:
                        picture = frame.pixels.copy()
        except MediaError:
            # The verdict stands; the picture beside it is a courtesy.
            return None
        finally:
            self._pictures.close()
        return picture
