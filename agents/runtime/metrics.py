"""Every metric of the data plane, declared once: a misspelt one fails the type checker."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.process_collector import ProcessCollector

disable_created_metrics()  # type: ignore[no-untyped-call]

_LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""From a Redis round trip to the longest segment, seconds."""
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

METRICS_CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"


class Metrics:
    """The metrics of one agent process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.consumed = self._counter("fleet_messages_consumed", "Messages read.", ("topic",))
        self.produced = self._counter("fleet_messages_produced", "Messages the broker has taken.", ("topic",))
        self.completed = self._counter("fleet_messages_completed", "Messages fully handled.", ("topic",))
        self.dead_letters = self._counter(
            "fleet_dead_letters", "Messages that could not be handled.", ("topic", "reason")
        )
        self.shed = self._counter(
            "fleet_messages_shed", "Messages let go since they could not be handled in time.", ("topic",)
        )
        self.retries = self._counter("fleet_handler_retries", "Times that a message was tried again.", ("cause",))
        self.in_flight_messages = self._gauge("fleet_in_flight_messages", "Messages read and not yet done.")
        self.in_flight_bytes = self._gauge("fleet_in_flight_bytes", "Bytes of messages read and not yet done.")
        self.paused_lanes = self._gauge("fleet_paused_topics", "Topics paused by backpressure.")
        self.assigned_partitions = self._gauge("fleet_assigned_partitions", "Partitions of this worker.")
        self.lag_messages = self._gauge(
            "fleet_lag_messages", "Messages in a partition that are not yet done.", ("topic", "partition")
        )
        self.lag_seconds = self._gauge(
            "fleet_lag_seconds", "Age of the newest message read, while there is lag.", ("topic",)
        )
        self.rebalances = self._counter("fleet_rebalances", "Changes of assignment.", ("kind",))
        self.dependency_up = self._gauge(
            "fleet_dependency_up", "1 while what the agent needs answers, else 0.", ("dependency",)
        )
        self.batch_size = Histogram(
            "fleet_handler_batch_messages",
            "Messages given to a handler at once.",
            buckets=_BATCH_BUCKETS,
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "fleet_stage_seconds",
            "Time that a stage took: handle, deliver, fetch, decode, faces, score, record, fuse, write.",
            ("stage",),
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.model_provider = self._gauge(
            "fleet_model_provider", "1 for the provider that runs a model.", ("model", "version", "provider")
        )
        self.model_stands_in = self._gauge(
            "fleet_model_stands_in", "1 while something else serves for a model for want of memory.", ("model",)
        )
        self.memory_free = self._gauge(
            "fleet_memory_free_bytes", "Memory that is free for models where a provider runs.", ("provider",)
        )
        self.gpu_busy = self._gauge("fleet_gpu_busy", "Share of its time that the GPU is busy.", ("provider",))
        self.media_bytes_read = self._counter("fleet_media_bytes_read", "Bytes of media read.", ("scheme",))
        self.decoded_streams = self._counter(
            "fleet_decoded_streams", "Videos or parts of them decoded, by cuda or in software.", ("decoder",)
        )
        self.frames = self._counter("fleet_frames", "Frames looked at.")
        self.live_frames = self._counter(
            "fleet_live_frames",
            "Frames of live streams by what became of them: added, unread, late, replayed, renumbered, skewed.",
            ("outcome",),
        )
        self.live_alerts = self._counter("fleet_live_alerts", "Transitions of live streams' alerts.", ("transition",))
        self.door_answers = self._counter(
            "fleet_door_answers",
            "Answers of the deny door: allowed, denied, not_ours, refused, and while Redis is away allowed_unknown and "
            "denied_unknown.",
            ("outcome",),
        )
        self.door_seconds = Histogram(
            "fleet_door_seconds",
            "Time that the deny door took for an answer.",
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.hook_deliveries = self._counter(
            "fleet_hook_deliveries", "Attempts to tell somebody of an alert.", ("kind", "outcome")
        )
        self.hook_waiting = self._gauge(
            "fleet_hook_retries_waiting", "Deliveries in memory that wait to be tried again."
        )
        self.hook_wait_seconds = Histogram(
            "fleet_hook_wait_seconds",
            "Time from an alert in the log to the first attempt to tell somebody of it.",
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.evidence_failures = self._counter("fleet_evidence_failures", "Times that evidence could not be kept.")
        self.faces = self._counter("fleet_faces", "Faces found.", ("usable",))
        self.unanswered = self._counter(
            "fleet_faces_unanswered", "Faces that a detector answered with no number.", ("model",)
        )
        self.unseen = self._counter(
            "fleet_frames_unseen", "Frames that a face detector answered with no number.", ("model",)
        )
        self.streams = self._gauge(
            "fleet_streams", "Live streams of this worker, by how pulling them goes.", ("phase",)
        )
        self.stream_frames = self._counter(
            "fleet_stream_frames", "Sampled frames of live streams: published, or dropped since stale.", ("fate",)
        )
        self.stream_connections_ended = self._counter(
            "fleet_stream_connections_ended", "Connections to live streams that ended, by why.", ("reason",)
        )
        self.verdicts = self._counter("fleet_verdicts", "Verdicts published.", ("outcome", "label"))
        self.rows = self._counter("fleet_rows_written", "Rows written to Postgres.", ("table",))
        self.inference_batch = Histogram(
            "fleet_inference_batch_crops",
            "Crops in an inference batch.",
            ("model",),
            buckets=_BATCH_BUCKETS,
            registry=self.registry,
        )
        self.inference_wait_seconds = self._latency(
            "fleet_inference_wait_seconds", "Time that the oldest crop of a batch waited."
        )
        self.inference_run_seconds = self._latency(
            "fleet_inference_run_seconds", "Time that the model took for a batch."
        )

    def _counter(self, name: str, description: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(name, description, labels, registry=self.registry)

    def _gauge(self, name: str, description: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, description, labels, registry=self.registry)

    def _latency(self, name: str, description: str) -> Histogram:
        return Histogram(name, description, ("model",), buckets=_LATENCY_BUCKETS, registry=self.registry)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
