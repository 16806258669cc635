"""What every event has: a name, a version, a key, an id that is derived from its content."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

type_of_upgrade = Callable[[dict[str, Any]], dict[str, Any]]


def _plausible(moment: datetime) -> datetime:
    if not 2000 <= moment.year < 2100:
        msg = f"year {moment.year} is outside 2000 to 2099"
        raise ValueError(msg)
    return moment


Timestamp = Annotated[AwareDatetime, AfterValidator(_plausible)]
"""A moment with a time zone, written as RFC 3339; years 2000 to 2099."""

Score = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
"""A calibrated probability, 0 (surely untouched) to 1 (surely manipulated)."""

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
"""Text without control characters: ids are derived from names joined by one (`schemas.identity`)."""

Name = Annotated[str, Field(min_length=1, max_length=256, pattern=PRINTABLE)]
"""A short identifier, without control characters."""


class Part(BaseModel):
    """A part of an event. Frozen; a field that it does not know, or a number that JSON cannot say, is refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        # What people wrote or uploaded has no place in an error's text, nor in the traceback of one.
        hide_input_in_errors=True,
    )


def unchanged(document: dict[str, Any]) -> dict[str, Any]:
    """Upgrade to a version that has only more fields, with defaults."""
    return document


class Event(Part):
    """A message of one of the fleet's topics.

    A new version of a schema raises `schema_version` and adds to `upgrades` the function that turns a
    decoded value of the version before into one of the new version: consumers accept both.
    """

    schema_name: ClassVar[str]
    schema_version: ClassVar[int] = 1
    upgrades: ClassVar[Mapping[int, type_of_upgrade]] = {}

    @property
    def event_id(self) -> str:
        """The id of the message: equal for equal content, so that a replay is recognised."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """The Kafka key: messages of one key keep their order."""
        raise NotImplementedError
