"""One name for one stream at a live server, however it is written: `application/name`."""

import re
import unicodedata
from urllib.parse import unquote

from agents.blocking.exceptions import QuestionMalformed

_LONGEST = 512
_MOST_DECODINGS = 5
_SLASHES = re.compile(r"[/\\]+")


def publish_name(*parts: str) -> str:
    """Return the name of a stream by application and name, or by its path.

    Whatever live servers take for the same stream has one name here, and what only looks alike is the same, too:
    query strings and stream keys behind `?` are left out, percent-encoding is undone, slashes are one, letters are
    small. So a publisher who is denied does not come in by writing the name otherwise.

    Raises:
        QuestionMalformed: it is empty, too long, or has control characters.
    """
    text = "/".join(part.partition("?")[0] for part in parts)
    if len(text) > _LONGEST:
        raise QuestionMalformed(f"a stream's name of {len(text)} characters")
    for _ in range(_MOST_DECODINGS):
        decoded = unquote(text)
        if decoded == text:
            break
        text = decoded.partition("?")[0]
    text = unicodedata.normalize("NFKC", text).casefold()
    text = unicodedata.normalize("NFKC", text)
    names = [name.strip() for name in _SLASHES.split(text)]
    name = "/".join(name for name in names if name not in {"", "."})
    if not name or not name.isprintable():
        raise QuestionMalformed("a stream's name is empty or has control characters")
    return name
