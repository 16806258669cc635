"""Why a stream is not pulled at this moment, as one typed error."""

from typing import Literal

TroubleKind = Literal[
    "unreachable",
    "timed_out",
    "not_a_stream",
    "no_video",
    "undecodable",
    "forbidden",
    "ended",
    "changed",
    "hung",
    "died",
]

_LASTING: frozenset[TroubleKind] = frozenset({"not_a_stream", "no_video", "undecodable", "forbidden"})


class Trouble(Exception):
    """A connection to a stream that came to nothing, or came to its end.

    Attributes:
        kind: `unreachable` - no connection, or it broke; `timed_out` - the server says nothing; `not_a_stream` - it
            says what is none; `no_video` - a stream without pictures; `undecodable` - pictures that no decoder takes;
            `forbidden` - an address or scheme that is not allowed; `ended` - the server ended it; `changed` - other
            pictures come in its place; `hung` - the process gave no sign of life and was killed; `died` - it died.
        detail: A short sentence without secrets: never the URL, whose path is often the publisher's key.
    """

    def __init__(self, kind: TroubleKind, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind: TroubleKind = kind
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"

    @property
    def lasting(self) -> bool:
        """Whether it is unlikely to be otherwise in a second: it is tried again seldom."""
        return self.kind in _LASTING
