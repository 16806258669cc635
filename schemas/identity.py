"""Ids derived from content (design: promise 1). Never clocks, never random: a replay makes the same ids."""

from uuid import UUID, uuid5

NAMESPACE = UUID("5b7a1c8e-8f64-5d0b-9c0a-3f0de1f1ee70")
"""The namespace of every id of the fleet (RFC 9562, version 5)."""

_SEPARATOR = "\x1f"


def derive(kind: str, *parts: str) -> UUID:
    """Return the version-5 UUID of `kind` and `parts`; the parts are joined by the unit separator."""
    return uuid5(NAMESPACE, _SEPARATOR.join((kind, *parts)))


def media_id(tenant: str, content_id: str, uri: str, version: str) -> UUID:
    """Return the id of one version of one piece of content at one place.

    `version` is what the producer says of the bytes (checksum or object version), or empty: a producer that
    overwrites media in place must say it, or the second upload is taken for a replay of the first.
    """
    return derive("media", tenant, content_id, uri, version)


def stream_media_id(tenant: str, stream_id: str) -> UUID:
    """Return the media id of a live stream, whatever connection it is on."""
    return derive("stream", tenant, stream_id)


def verdict_id(media: UUID, window: str, plan_fingerprint: str, model_set: str, policy: str) -> UUID:
    """Return the id of the verdict on `window` of `media` by one model set under one policy version."""
    return derive("verdict", str(media), window, plan_fingerprint, model_set, policy)


def alert_id(subject: str, episode: int, transition: str) -> UUID:
    """Return the id of a transition of the `episode`-th alert of a stream or piece of media."""
    return derive("alert", subject, str(episode), transition)
