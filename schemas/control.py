"""What operators ask of running workers, and what the workers answer."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from schemas.event import Event, Name, Part, Timestamp
from schemas.identity import derive

ModelRole = Literal["faces", "screen", "primary", "synthetic", "liveness"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class ModelSwitch(Event):
    """Which models serve a role from now on. The last one that a worker is meant by holds, also after a restart."""

    schema_name: ClassVar[str] = "model-switch"

    role: ModelRole
    """What the models are asked."""
    models: tuple[Name, ...] = ()
    """Entries of the manifest, one unless the role is `liveness`; none gives the role back to the manifest's own."""
    canary: tuple[Name, ...] = ()
    """Entries that judge a share of the media in their place."""
    canary_share: Share = 0.0
    """That share; which media, is decided by a hash of their ids."""
    agent: Name | None = None
    """Only workers of this agent are meant; by default all."""
    by: Name
    """Who asked."""
    at: Timestamp
    """When it was asked."""

    @model_validator(mode="after")
    def _canary_is_whole(self) -> Self:
        if bool(self.canary) != (self.canary_share > 0):
            msg = "canary and canary_share go together"
            raise ValueError(msg)
        return self

    @property
    def event_id(self) -> str:
        """Key and moment."""
        return str(derive("model-switch", self.key, self.at.isoformat()))

    @property
    def key(self) -> str:
        """The role, and the agent where only that is meant."""
        return self.role if self.agent is None else f"{self.role}@{self.agent}"


class WorkerModel(Part):
    """A model that a worker serves with."""

    role: ModelRole
    """What it is asked."""
    wanted: Name
    """The entry that was asked for."""
    name: Name | None
    """The entry that runs: the one wanted, its twin for GPUs, or what stands in; none where nothing has room."""
    version: str
    """Of the entry that runs."""
    share: Share
    """Share of the media that it judges."""
    provider: str
    """The ONNX Runtime execution provider that runs it."""
    reason: str
    """Why that one, and why nothing better."""
    stands_in: bool
    """Whether memory was short of something better."""


class RefusedSwitch(Part):
    """A switch that a worker could not follow: what served before still serves."""

    role: ModelRole
    """Of the switch."""
    models: tuple[Name, ...]
    """That were to serve, a canary's among them."""
    reason: str
    """Why not."""
    at: Timestamp
    """When the switch was asked for."""


class WorkerReport(Event):
    """How a worker serves: after each change, and regularly."""

    schema_name: ClassVar[str] = "worker-report"

    worker: Name
    """Its instance, or host and process."""
    agent: Name
    """What it runs."""
    state: Literal["serving", "ended"]
    """`ended` is its last word."""
    models: tuple[WorkerModel, ...]
    """What it serves with."""
    refused: tuple[RefusedSwitch, ...] = ()
    """What it could not follow."""
    started_at: Timestamp
    """When it began to serve."""
    at: Timestamp
    """When it said this."""

    @property
    def event_id(self) -> str:
        """Worker and moment."""
        return str(derive("worker-report", self.worker, self.at.isoformat()))

    @property
    def key(self) -> str:
        """The worker."""
        return self.worker
