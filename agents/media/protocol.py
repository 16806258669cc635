"""What parent and decoder process say to each other over their socket.

A message is a header (kind, length), then JSON, except for `DATA`, whose body is bytes of the media. Descriptors
travel beside the header, and only towards the decoder. The parent trusts nothing that it receives: lengths are
bounded, fields are checked, and a decoder that breaks the rules is killed.
"""

import array
import enum
import json
import math
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Any

_HEADER = struct.Struct("=BI")
_MOST_DESCRIPTORS = 2
MOST_DATA = 4 * 1024 * 1024
MOST_JSON = 16 * 1024 * 1024  # the key frames of a day of video


class Kind(enum.IntEnum):
    """Who sends it, and what it says."""

    SETUP = 1  # parent: limits, budget, size of the ring; with the ring's descriptor
    JOB = 2  # parent: what to do with which media; with its descriptor where it is a local file
    DATA = 3  # parent: bytes that READ asked for
    LOST = 4  # parent: the bytes cannot be had
    RELEASE = 5  # parent: slots of the ring that may be written again
    CANCEL = 6  # parent: the job is not wanted any more
    READY = 16  # decoder: it runs, and how it is confined
    READ = 17  # decoder: asks for bytes
    PROBED = 18  # decoder: the probe
    FRAME = 19  # decoder: a slot of the ring holds a frame
    DONE = 20  # decoder: the job is finished
    FAILED = 21  # decoder: the job is finished, with an error


class ProtocolError(Exception):
    """The other side said something that the protocol does not know."""


class Closed(Exception):
    """The other side is gone."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its kind, its fields or (for DATA) its bytes, and descriptors that came with it."""

    kind: Kind
    fields: dict[str, Any]
    data: bytes = b""
    descriptors: tuple[int, ...] = ()

    def integer(self, name: str, low: int, high: int) -> int:
        """A field that must be an integer in `[low, high]`.

        Raises:
            ProtocolError: It is not.
        """
        value = self.fields.get(name)
        if type(value) is not int or not low <= value <= high:
            raise ProtocolError(f"{self.kind.name} has no valid {name}")
        return value

    def number(self, name: str) -> float:
        """A field that must be a finite number of at least zero.

        Raises:
            ProtocolError: It is not.
        """
        value = self.fields.get(name)
        if not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ProtocolError(f"{self.kind.name} has no valid {name}")
        return float(value)

    def text(self, name: str, most: int = 500) -> str:
        """A field that must be text, cut to `most` characters.

        Raises:
            ProtocolError: It is not.
        """
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise ProtocolError(f"{self.kind.name} has no valid {name}")
        return value[:most]


class Channel:
    """Messages over one connected stream socket. Many threads may send; one receives."""

    def __init__(self, connection: socket.socket, accepts_descriptors: bool = False) -> None:
        self._socket = connection
        self._sending = threading.Lock()
        self._accepts_descriptors = accepts_descriptors

    def fileno(self) -> int:
        """The socket's descriptor, to wait on."""
        return self._socket.fileno()

    def send(
        self, kind: Kind, fields: dict[str, Any] | None = None, data: bytes = b"", descriptors: tuple[int, ...] = ()
    ) -> None:
        """Sends one message.

        Raises:
            Closed: Nobody listens any more.
        """
        body = data if kind is Kind.DATA else json.dumps(fields or {}).encode()
        message = _HEADER.pack(kind, len(body)) + body
        try:
            with self._sending:
                sent = 0
                if descriptors:
                    sent = socket.send_fds(self._socket, [message], list(descriptors))
                self._socket.sendall(memoryview(message)[sent:])
        except OSError as error:
            raise Closed from error

    def receive(self) -> Message:
        """The next message, waited for.

        Raises:
            Closed: The other side is gone.
            ProtocolError: What came is no message.
        """
        header, descriptors = self._receive_header()
        number, length = _HEADER.unpack(header)
        try:
            kind = Kind(number)
        except ValueError:
            raise ProtocolError(f"message kind {number}") from None
        if length > (MOST_DATA if kind is Kind.DATA else MOST_JSON):
            raise ProtocolError(f"{kind.name} of {length} bytes")
        body = self._receive_exactly(length)
        if kind is Kind.DATA:
            return Message(kind, {}, body, descriptors)
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            raise ProtocolError(f"{kind.name} is not JSON") from None
        if not isinstance(fields, dict):
            raise ProtocolError(f"{kind.name} has no fields")
        return Message(kind, fields, b"", descriptors)

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def _receive_header(self) -> tuple[bytes, tuple[int, ...]]:
        if not self._accepts_descriptors:
            return self._receive_exactly(_HEADER.size), ()
        held = array.array("i")
        try:
            first, ancillary, _, _ = self._socket.recvmsg(
                _HEADER.size, socket.CMSG_SPACE(_MOST_DESCRIPTORS * held.itemsize), socket.MSG_CMSG_CLOEXEC
            )
        except OSError as error:
            raise Closed from error
        if not first:
            raise Closed
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                held.frombytes(data[: len(data) - len(data) % held.itemsize])
        return first + self._receive_exactly(_HEADER.size - len(first)), tuple(held)

    def _receive_exactly(self, length: int) -> bytes:
        parts = []
        while length > 0:
            try:
                part = self._socket.recv(length)
            except OSError as error:
                raise Closed from error
            if not part:
                raise Closed
            parts.append(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
