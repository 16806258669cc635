"""Log lines: text for a terminal, JSON for a collector."""

import logging
import sys
from datetime import UTC, datetime
from typing import Literal

import orjson


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `message`, and `error` with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": _sayable(record.getMessage()),
        }
        if record.exc_info:
            line["error"] = _sayable(self.formatException(record.exc_info))
        return orjson.dumps(line).decode()


def _sayable(text: str) -> str:
    """Return text that JSON can carry: what a file's name has beyond UTF-8 is escaped."""
    return text.encode(errors="backslashreplace").decode()


def configure_logging(level: str, style: Literal["text", "json"]) -> None:
    """Send log lines of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter()
        if style == "json"
        else logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
