"""Media references: split once, shown without secrets."""

import re
from urllib.parse import urlsplit

from agents.media.exceptions import MediaError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


def scheme_of(uri: str) -> str:
    """The scheme of `uri` in lower case.

    Raises:
        MediaError: `forbidden`, when there is none, or when it chains file systems (`a::b`, as fsspec reads it).
    """
    match = _SCHEME.match(uri)
    if match is None or "::" in uri.split("/", 1)[0]:
        raise MediaError("forbidden", f"{redacted(uri)!r} is not a URL with one scheme")
    return match.group(1).lower()


def redacted(uri: str) -> str:
    """`uri` as it may stand in a log or an error: no user information, no query string, no fragment."""
    try:
        parts = urlsplit(uri)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(an unreadable URL)"
    if not parts.scheme:
        return parts.path[:200]
    return f"{parts.scheme}://{host}{parts.path}"[:200]
