"""What happened between two looks at a worker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agents.top.readings import Reading

PARTS = ("fetch", "decode", "faces", "score", "record", "fuse", "write")
"""Stages within the handling of a message."""
_FREE, _BUSY, _STANDS_IN = "fleet_memory_free_bytes", "fleet_gpu_busy", "fleet_model_stands_in"


@dataclass(frozen=True, slots=True)
class StageRate:
    """A stage: how often it ran, seconds it took of each second, and mean milliseconds."""

    per_s: float
    busy: float
    mean_ms: float


@dataclass(frozen=True, slots=True)
class ModelRate:
    """A model: crops a second, crops in a batch, milliseconds that a batch waited and ran, seconds of each second."""

    provider: str
    crops_per_s: float
    batch: float
    wait_ms: float
    run_ms: float
    busy: float


@dataclass(frozen=True, slots=True)
class WorkerRate:
    """A worker over an interval.

    Attributes:
        cpu: seconds of processor time of each second, its decoders not counted.
        handled: messages a second.
        handling: seconds of each second that its handlers were busy, over all of them.
        free_bytes: memory that is free for models, by provider that runs some.
        gpu_busy: share of its time that its GPU is busy, 0 to 1; none without one.
        stood_in_for: models for which others serve, for want of memory.
    """

    url: str
    agent: str
    state: str
    away: Mapping[str, str]
    cpu: float = 0.0
    memory_bytes: float = 0.0
    partitions: int = 0
    lag: int = 0
    in_flight: int = 0
    paused: int = 0
    handled: float = 0.0
    handling: float = 0.0
    stages: Mapping[str, StageRate] = field(default_factory=dict)
    models: Mapping[str, ModelRate] = field(default_factory=dict)
    free_bytes: Mapping[str, float] = field(default_factory=dict)
    gpu_busy: float | None = None
    stood_in_for: Sequence[str] = ()


def between(before: Reading, now: Reading) -> WorkerRate:
    """Return what a worker did between two readings; of one that restarted, what it did since."""
    seconds = max(now.at - before.at, 1e-6)
    # Counters that fell are those of another process under the same address.
    if now.total("process_cpu_seconds_total") < before.total("process_cpu_seconds_total"):
        before = Reading(now.url, before.at, now.agent, now.state, {}, {})

    def rate(metric: str, **labels: str) -> float:
        return max(0.0, now.total(metric, **labels) - before.total(metric, **labels)) / seconds

    def mean(metric: str, **labels: str) -> float:
        count = rate(f"{metric}_count", **labels)
        return rate(f"{metric}_sum", **labels) / count if count else 0.0

    def stage(name: str) -> StageRate:
        return StageRate(
            rate("fleet_stage_seconds_count", stage=name),
            rate("fleet_stage_seconds_sum", stage=name),
            1000 * mean("fleet_stage_seconds", stage=name),
        )

    def model(name: str) -> ModelRate:
        providers = [dict(has)["provider"] for (metric, has) in now.values if _is_of(metric, has, name)]
        return ModelRate(
            providers[0] if providers else "",
            rate("fleet_inference_batch_crops_sum", model=name),
            mean("fleet_inference_batch_crops", model=name),
            1000 * mean("fleet_inference_wait_seconds", model=name),
            1000 * mean("fleet_inference_run_seconds", model=name),
            rate("fleet_inference_run_seconds_sum", model=name),
        )

    return WorkerRate(
        url=now.url,
        agent=now.agent,
        state=now.state,
        away=now.away,
        cpu=rate("process_cpu_seconds_total"),
        memory_bytes=now.total("process_resident_memory_bytes"),
        partitions=int(now.total("fleet_assigned_partitions")),
        lag=int(now.total("fleet_lag_messages")),
        in_flight=int(now.total("fleet_in_flight_messages")),
        paused=int(now.total("fleet_paused_topics")),
        handled=rate("fleet_messages_completed_total"),
        handling=rate("fleet_stage_seconds_sum", stage="handle"),
        stages={name: stage(name) for name in now.labels("fleet_stage_seconds_count", "stage")},
        models={name: model(name) for name in now.labels("fleet_inference_batch_crops_count", "model")},
        free_bytes={name: now.total(_FREE, provider=name) for name in now.labels(_FREE, "provider")},
        gpu_busy=max((now.total(_BUSY, provider=name) for name in now.labels(_BUSY, "provider")), default=None),
        stood_in_for=[name for name in now.labels(_STANDS_IN, "model") if now.total(_STANDS_IN, model=name) > 0],
    )


def _is_of(metric: str, labels: frozenset[tuple[str, str]], model: str) -> bool:
    return metric == "fleet_model_provider" and ("model", model) in labels
