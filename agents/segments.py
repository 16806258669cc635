"""The segments agent: a segment is scored, joined with the others of its upload, and the last one decides."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import ClassVar, Literal

from agents.analysis import Failure, SegmentResult, load_result
from agents.keyvalue import connect
from agents.policies import policy_book
from agents.runtime.agent import Agent, Lane
from agents.runtime.exceptions import Reject
from agents.runtime.failpoints import reached
from agents.runtime.messages import Handled, Incoming, Outgoing
from agents.runtime.metrics import Metrics
from agents.scorer import Scorer
from agents.settings import Settings
from agents.verdicts import alert, verdict
from agents.windows import EarlierVerdicts, UploadWindow
from models.exceptions import PolicyUnknown
from models.policy import Policy
from schemas.media import Segment
from schemas.verdict import Outcome, Progress, Verdict
from topics import catalogue

_AHEAD = 64
"""Segments of a lane that are read ahead, for each handler. They are small, and what waits here is not lost to other
workers, whose partitions are others. Half of it hides the half second that a resumed partition takes to give again."""
_REPEATABLE = (Outcome.SCORED, Outcome.NO_FACE, Outcome.UNDECODABLE)
"""Outcomes that the same bytes will always have."""


def _now() -> datetime:
    return datetime.now(UTC)


class Segments(Agent):
    """Scores segments. Whoever scores the last one of an upload publishes its verdict.

    Raises:
        PolicyError: the policies of the settings cannot be used.
    """

    name: ClassVar[str] = "segments"
    produces = (catalogue.VERDICTS, catalogue.ALERTS, catalogue.PROGRESS)

    def __init__(
        self,
        settings: Settings,
        scorer: Scorer,
        metrics: Metrics,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._settings = settings
        self._scorer = scorer
        self._metrics = metrics
        self._policies = policy_book(settings.policies)
        self._now = now
        client = connect(settings.redis)
        self._window = UploadWindow(client, settings.redis)
        self._earlier = EarlierVerdicts(client, settings.redis)
        self.concurrency = settings.segments.concurrency

    @property
    def lanes(self) -> Sequence[Lane]:
        """The interactive lane, and the bulk lane with its guaranteed share."""
        ahead = _AHEAD * self.concurrency
        return (
            Lane((catalogue.SEGMENTS,), max_messages=ahead),
            Lane((catalogue.SEGMENTS_BULK,), max_messages=ahead, share=self._settings.segments.bulk_share),
        )

    def handle(self, batch: Sequence[Incoming]) -> Sequence[Handled]:
        """Score each segment.

        Raises:
            Reject: a segment was planned with a policy that this worker does not have. No other one decides in its
                place: the dead letter is published again when the policy is deployed. Many in a row stop the agent.
        """
        return [self._segment(message.event(Segment)) for message in batch]

    def _segment(self, segment: Segment) -> Handled:
        policy = self._policy(segment)
        begun = self._window.begin(segment)
        result = None
        if not begun.recorded:
            result = self._result(segment, begun.attempts)
            reached("after-inference")
        recorded = self._window.record(segment, None if result is None else result.dump())
        reached("after-redis")
        done = self._progress(segment, "segment_done", recorded.done, result)
        if not recorded.closes or recorded.published:
            return Handled((done,))
        results = [load_result(value) for value in self._window.results(segment)]
        decided = self._decide(segment, results, policy)
        outputs = [done, Outgoing(catalogue.VERDICTS, decided)]
        raised = alert(decided, results)
        if raised is not None:
            outputs.append(Outgoing(catalogue.ALERTS, raised))
        outputs.append(self._progress(segment, "verdict", recorded.done, None))
        planned = all(result.model_set == segment.model_set for result in results)
        return Handled(tuple(outputs), after=lambda: self._published(segment, decided, planned=planned))

    def _result(self, segment: Segment, attempts: int) -> SegmentResult:
        started_at_ms = int(self._now().timestamp() * 1000)
        if attempts > self._settings.segments.max_attempts:
            failure = Failure("undecodable", f"its worker died each of {attempts - 1} times")
            return SegmentResult(
                segment.index, segment.start_s, segment.end_s, (), segment.model_set, started_at_ms, failure
            )
        return self._scorer.score(segment, started_at_ms)

    def _policy(self, segment: Segment) -> Policy:
        try:
            return self._policies.find(segment.policy)
        except PolicyUnknown as error:
            raise Reject("policy_unknown", str(error)) from error

    def _decide(self, segment: Segment, results: Sequence[SegmentResult], policy: Policy) -> Verdict:
        started = perf_counter()
        decided = verdict(
            segment,
            results,
            policy,
            fusion=self._scorer.fusion,
            timeline_frames=self._settings.segments.timeline_frames,
            now=self._now(),
        )
        took = perf_counter() - started
        self._metrics.stage_seconds.labels("fuse").observe(took)
        timings = decided.timings.model_copy(update={"fuse_ms": 1000 * took})
        return decided.model_copy(update={"timings": timings})

    def _published(self, segment: Segment, decided: Verdict, *, planned: bool) -> None:
        """Note the verdict, for re-uploads too where it came of the models planned: a stand-in's answers no others."""
        complete = decided.quality is not None and decided.quality.coverage == 1.0
        if decided.outcome in _REPEATABLE and complete and planned:
            self._earlier.keep(segment.info.sha256, segment.plan_fingerprint, decided.model_dump_json().encode())
        self._window.published(segment)
        self._metrics.verdicts.labels(decided.outcome, decided.label).inc()

    def _progress(
        self,
        segment: Segment,
        stage: Literal["segment_done", "verdict"],
        done: int,
        result: SegmentResult | None,
    ) -> Outgoing:
        frames = () if result is None else result.frames
        return Outgoing(
            catalogue.PROGRESS,
            Progress(
                media_id=segment.media_id,
                content_id=segment.upload.content_id,
                tenant=segment.upload.tenant,
                stage=stage,
                segments_done=done,
                segments=segment.of,
                frames=len(frames),
                faces=sum(len(frame.faces) for frame in frames),
                at=self._now(),
            ),
        )

    def open(self) -> None:
        """Load the models and start the decoders."""
        self._scorer.open()

    def close(self) -> None:
        """Let go of them."""
        self._scorer.close()
