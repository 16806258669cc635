"""Signatures of webhooks after Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks, spec 1.0)."""

import base64
import binascii
import hmac
from collections.abc import Iterable
from hashlib import sha256

_PREFIX = "whsec_"
_SHORTEST = 24
"""Bytes of a secret: the specification wants 24 to 64."""


class SecretUnusable(Exception):
    """A webhook's secret is not as the specification has it."""


def key_of(secret: str) -> bytes:
    """Return the key of a secret, `whsec_` and Base64.

    Raises:
        SecretUnusable: it is something else, or too short; the secret is not in the message.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SecretUnusable("a webhook's secret is `whsec_` and Base64") from None
    if len(key) < _SHORTEST:
        raise SecretUnusable(f"a webhook's secret has {len(key)} bytes: at least {_SHORTEST} are needed")
    return key


def signature(keys: Iterable[bytes], message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the `webhook-signature` header: one signature for each key, so that keys can be changed over time."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return " ".join(f"v1,{base64.b64encode(hmac.digest(key, signed, sha256)).decode()}" for key in keys)
