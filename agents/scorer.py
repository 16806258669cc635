"""What the segments agent scores with: fetcher, decoders and models, opened together."""

from dataclasses import replace
from time import perf_counter

from agents.analysis import Failure, SegmentResult, analyse
from agents.decoders import Decoders
from agents.evidence_counts import count_frames
from agents.media.decoder import SandboxPolicy
from agents.media.exceptions import MediaError
from agents.media.fetch import Fetcher
from agents.media.source import MediaSource
from agents.model_set import LoadedModels
from agents.runtime.exceptions import Unavailable
from agents.runtime.metrics import Metrics
from models.detectors import DetectorSet
from models.exceptions import NoRoom, OutOfMemory
from models.fusion_weights import FusionTable
from models.scoring import ScoringLimits
from schemas.media import Segment


class Scorer:
    """Scores segments of media by their reference. Thread-safe between `open` and `close`."""

    def __init__(
        self,
        fetcher: Fetcher,
        sandbox: SandboxPolicy,
        models: LoadedModels,
        limits: ScoringLimits,
        metrics: Metrics,
        *,
        max_side: int,
    ) -> None:
        self._fetcher = fetcher
        self._decoders = Decoders(sandbox, metrics)
        self._models = models
        self._limits = limits
        self._metrics = metrics
        self._max_side = max_side

    @property
    def fusion(self) -> FusionTable:
        """How detectors of one axis are fused."""
        return self._models.fusion

    def score(self, segment: Segment, started_at_ms: int) -> SegmentResult:
        """Return what a segment shows. Media that cannot be read is a result with a failure.

        Where a model runs out of memory, what stands in for it scores the segment from its beginning.

        Raises:
            Unavailable: memory is short of all that could stand in.
            ModelError: a model failed.
        """
        started = perf_counter()
        try:
            source = self._fetcher.open(segment.upload.media.uri)
        except MediaError as error:
            return self._failed(segment, started_at_ms, error)
        with source:
            fetch_s = perf_counter() - started
            info = segment.info
            if source.size != info.size_bytes or (source.etag or "") != info.etag:
                changed = MediaError("unreachable", "the media has changed since it was planned")
                return self._failed(segment, started_at_ms, changed)
            result = self._scored(segment, source, started_at_ms)
            scheme = segment.upload.media.uri.partition(":")[0]
            self._metrics.media_bytes_read.labels(scheme).inc(source.bytes_read)
        result = replace(result, seconds={"fetch": fetch_s, **result.seconds})
        self._count(result)
        return result

    def _scored(self, segment: Segment, source: MediaSource, started_at_ms: int) -> SegmentResult:
        while True:
            try:
                with self._models.lease(str(segment.media_id)) as detectors:
                    try:
                        return self._analysed(segment, source, detectors, started_at_ms)
                    except OutOfMemory as error:
                        failed = error
            except NoRoom as error:
                raise Unavailable("memory", str(error)) from error
            self._models.serving.step_down(failed, detectors)

    def _analysed(
        self, segment: Segment, source: MediaSource, detectors: DetectorSet, started_at_ms: int
    ) -> SegmentResult:
        with self._decoders.use() as decoders:
            return analyse(
                segment,
                source,
                decoders,
                detectors,
                self._models.used(detectors),
                self._limits,
                max_side=self._max_side,
                started_at_ms=started_at_ms,
            )

    def _failed(self, segment: Segment, started_at_ms: int, error: MediaError) -> SegmentResult:
        return SegmentResult(
            segment.index,
            segment.start_s,
            segment.end_s,
            (),
            segment.model_set,
            started_at_ms,
            Failure(error.kind, error.reason),
        )

    def _count(self, result: SegmentResult) -> None:
        for stage, seconds in result.seconds.items():
            self._metrics.stage_seconds.labels(stage).observe(seconds)
        count_frames(result.frames, self._metrics)

    def open(self) -> None:
        """Load the models and start the decoder processes.

        Raises:
            ModelError: a model cannot be had or does not load.
        """
        self._models.open()
        self._decoders.open()

    def close(self) -> None:
        """Let go of everything."""
        self._decoders.close()
        self._models.close()
        self._fetcher.close()
