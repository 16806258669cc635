"""Agents and their parts, put together from the settings: the one place that knows all of them."""

from collections.abc import Callable, Mapping

from agents.control.models import PlannedModels, SteeredModels
from agents.door import Door
from agents.frames import Frames
from agents.hooks import Hooks
from agents.inspection import Inspector
from agents.live.scorer import LiveScorer
from agents.media.decoder import SandboxPolicy
from agents.media.fetch import Fetcher
from agents.media.frames import DecodeBudget
from agents.media.policy import FetchPolicy
from agents.model_set import LoadedModels
from agents.runtime.agent import Agent
from agents.runtime.metrics import Metrics
from agents.runtime.process import AgentProcess
from agents.runtime.service import Service
from agents.scorer import Scorer
from agents.segments import Segments
from agents.settings import MediaSettings, Settings
from agents.sink import Sink
from agents.streams import Streams
from agents.uploads import Uploads
from models.inference.cpus import available_cpus
from models.scoring import ScoringLimits


def fetcher(media: MediaSettings) -> Fetcher:
    """Return the fetcher that the settings allow."""
    return Fetcher(
        FetchPolicy(
            schemes=frozenset(media.allowed_schemes),
            roots=media.allowed_roots,
            max_bytes=media.max_bytes,
            connect_timeout_s=media.connect_timeout_s,
            read_timeout_s=media.read_timeout_s,
            max_redirects=media.max_redirects,
            allow_private_addresses=media.allow_private_addresses,
            block_bytes=media.block_kib << 10,
            cache_bytes=media.cache_mib << 20,
        )
    )


def decoder_policy(settings: Settings, handlers: int) -> SandboxPolicy:
    """Return what decoder processes may use, enough of them for so many handlers."""
    media = settings.media
    return SandboxPolicy(
        workers=media.decode_workers or handlers,
        max_side=media.max_side,
        job_timeout_s=media.decode_timeout_s,
        budget=DecodeBudget(image_pixels=media.max_pixels),
        hardware=media.hardware_decoding,
    )


def scorer(settings: Settings, metrics: Metrics, models: LoadedModels, handlers: int) -> Scorer:
    """Return what scores segments with some models, for so many handlers."""
    limits = ScoringLimits(detection_side=settings.segments.detection_side, max_faces=settings.segments.max_faces)
    return Scorer(
        fetcher(settings.media),
        decoder_policy(settings, handlers),
        models,
        limits,
        metrics,
        max_side=settings.media.max_side,
    )


def _uploads(settings: Settings, metrics: Metrics) -> Agent:
    inspector = Inspector(
        fetcher(settings.media),
        decoder_policy(settings, settings.uploads.concurrency),
        metrics,
        trust_declared_sha256=settings.uploads.trust_declared_sha256,
    )
    return Uploads(settings, inspector, PlannedModels(settings, Segments.name))


def _segments(settings: Settings, metrics: Metrics) -> Agent:
    models = SteeredModels(settings, metrics, Segments.name)
    return Segments(settings, scorer(settings, metrics, models, settings.segments.concurrency), metrics)


def _frames(settings: Settings, metrics: Metrics) -> Agent:
    frames, media = settings.frames, settings.media
    scorer = LiveScorer(
        decoder_policy(settings, available_cpus()),
        SteeredModels(settings, metrics, Frames.name),
        ScoringLimits(detection_side=frames.detection_side, max_faces=frames.max_faces),
        metrics,
        max_side=media.max_side,
    )
    return Frames(settings, scorer, metrics)


AGENTS: Mapping[str, Callable[[Settings, Metrics], Agent]] = {
    "uploads": _uploads,
    "segments": _segments,
    "frames": _frames,
    "sink": Sink,
    "streams": Streams,
}
"""How each agent is built."""


SERVICES: Mapping[str, Callable[[Settings, Metrics], Service]] = {
    "door": Door,
    "hooks": Hooks,
}
"""What runs without the loop of agents."""


def service(name: str, settings: Settings, metrics: Metrics) -> Service:
    """Return what `fleet run` runs by that name."""
    if name in SERVICES:
        return SERVICES[name](settings, metrics)
    return AgentProcess(AGENTS[name](settings, metrics), settings, metrics)
