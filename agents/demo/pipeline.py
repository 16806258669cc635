"""The content pipeline's part of the demo: upload events as anyone can publish them, in documented JSON."""

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from confluent_kafka import Producer

from agents.demo.media import DemoMedia

_LIBRDKAFKA = logging.getLogger(f"{__name__}.librdkafka")
"""Its lines go the way of all log lines, and not to standard error."""
_SAMPLE_RATE_FPS = 2.0
_PUBLISH_TIMEOUT_S = 15.0


def upload_events(media: Iterable[DemoMedia]) -> list[dict[str, Any]]:
    """Return an upload event for each file, as JSON values of schema media-upload/1."""
    return [
        {
            "content_id": f"demo-{each.name}",
            "uploader_id": "demo-user",
            "media": {"uri": each.path.as_uri()},
            "content_type": "video" if each.path.suffix == ".mp4" else "image",
            "options": {"sample_rate_fps": _SAMPLE_RATE_FPS},
            "uploaded_at": datetime.now(UTC).isoformat(),
        }
        for each in media
    ]


def publish(events: Sequence[dict[str, Any]], configuration: dict[str, Any], topic: str) -> None:
    """Publish events and wait until the broker has them.

    Args:
        events: JSON values.
        configuration: how to reach the broker (librdkafka).
        topic: full name.

    Raises:
        TimeoutError: the broker did not take them in time.
    """
    producer = Producer(configuration | {"enable.idempotence": True}, logger=_LIBRDKAFKA)
    for event in events:
        producer.produce(
            topic,
            key=event["content_id"],
            value=orjson.dumps(event),
            headers=[("schema", b"media-upload/1")],
        )
    left = producer.flush(_PUBLISH_TIMEOUT_S)
    if left:
        raise TimeoutError(f"{left} upload events were not taken within {_PUBLISH_TIMEOUT_S:g} s")
