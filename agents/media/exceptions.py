"""What can be wrong with media, as one typed error."""

from typing import Literal

MediaErrorKind = Literal["unreachable", "undecodable", "unsupported", "too_large", "forbidden"]


class MediaError(Exception):
    """Media that cannot be judged, and why.

    Attributes:
        kind: `unreachable` — its origin did not give it; `undecodable` — damaged, or not what it says it is;
            `unsupported` — a type, container or codec that is not on our lists; `too_large` — over a budget of
            bytes, pixels, frames or memory; `forbidden` — outside the allowed roots, schemes or addresses.
        reason: One short sentence with facts and without secrets: addresses in it have lost their user
            information and query string.
        transient: Whether the same reference may work when it is tried again later.
    """

    def __init__(self, kind: MediaErrorKind, reason: str, transient: bool = False) -> None:
        super().__init__(kind, reason, transient)
        self.kind: MediaErrorKind = kind
        self.reason = reason
        self.transient = transient

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"
