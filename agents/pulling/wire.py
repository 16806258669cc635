"""What a puller process and its parent say to each other over their socket.

A message is a header (kind, length) and a body: JSON, and for `FRAME` the numbers of the frame before its still. The
parent trusts nothing that it receives: lengths are bounded and fields are checked.
"""

import enum
import json
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import get_args

from agents.pulling.exceptions import Trouble, TroubleKind
from agents.runtime.deadline import Deadline

_HEADER = struct.Struct("=BI")
_FRAME = struct.Struct("=qqHH")
_MOST_JSON = 16 << 10
_MOST_STILL = 2 << 20
_LONGEST_DETAIL = 200
_KINDS: Mapping[str, TroubleKind] = {kind: kind for kind in get_args(TroubleKind)}


class Kind(enum.IntEnum):
    """Who sends it, and what it says."""

    TASK = 1  # parent: what to pull, and how
    OPENED = 16  # puller: the stream is open
    PULSE = 17  # puller: video comes; how many frames did
    FRAME = 18  # puller: a sampled frame
    ENDED = 19  # puller: it is over, and why


class Broken(Exception):
    """The other side is gone, or does not keep to the rules."""


class Silent(Exception):
    """The other side has not said a whole message in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a puller process is to do.

    Attributes:
        url: Where to connect to, its host an address that was checked (see `agents.pulling.places`).
        form: FFmpeg's name of the format.
        options: FFmpeg's options.
        fps: Frames a second to look at.
        every_nth: Look at every n-th frame instead.
        max_side: Longest side of a still, pixels.
        quality: Of the JPEGs, 1 to 100.
        most_bytes: Of a still.
        open_timeout_s: How long until the stream must be open, seconds.
        read_timeout_s: How long a packet may take, seconds.
        web: Whether it is opened by our own HTTP, and given at the pace of its time stamps: HLS comes in bursts.
        allow_private: Whether that may reach private addresses.
        hosts: Names or addresses that it may reach, whatever their addresses.
    """

    url: str
    form: str
    options: Mapping[str, str]
    fps: float
    every_nth: int | None
    max_side: int
    quality: int
    most_bytes: int
    open_timeout_s: float
    read_timeout_s: float
    web: bool = False
    allow_private: bool = False
    hosts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream that is open."""

    codec: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Pulse:
    """Video comes.

    Attributes:
        received: Video frames that came since the last pulse.
        seconds: How long that is.
    """

    received: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Still:
    """A frame that was sampled.

    Attributes:
        captured_ms: When its packet came out of the connection, milliseconds since 1970.
        pts_ms: Presentation time, at least 0, milliseconds.
        width: Of the stream's picture, pixels.
        height: Of the stream's picture, pixels.
        jpeg: The encoded still.
    """

    captured_ms: int
    pts_ms: int
    width: int
    height: int
    jpeg: bytes


Said = Opened | Pulse | Still


class Wire:
    """Messages over one connected stream socket, for one thread on each side."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def send_task(self, task: Task) -> None:
        """Say what to do.

        Raises:
            Broken: the other side is gone.
        """
        self._send(Kind.TASK, json.dumps(asdict(task)).encode())

    def receive_task(self) -> Task:
        """Wait for what to do.

        Raises:
            Broken: the other side is gone.
        """
        _, body = self._receive(None)
        return Task(**json.loads(body))

    def send(self, said: Said) -> None:
        """Say how it goes. Blocks while the other side does not listen.

        Raises:
            Broken: the other side is gone.
        """
        match said:
            case Opened():
                self._send(Kind.OPENED, json.dumps(asdict(said)).encode())
            case Pulse():
                self._send(Kind.PULSE, json.dumps(asdict(said)).encode())
            case Still():
                numbers = _FRAME.pack(said.captured_ms, said.pts_ms, said.width, said.height)
                self._send(Kind.FRAME, numbers + said.jpeg)

    def send_end(self, trouble: Trouble) -> None:
        """Say why it is over.

        Raises:
            Broken: the other side is gone.
        """
        self._send(Kind.ENDED, json.dumps({"kind": trouble.kind, "detail": trouble.detail}).encode())

    def receive(self, timeout_s: float) -> Said:
        """Return what the puller says next.

        Raises:
            Trouble: it says that it is over.
            Silent: it said nothing, or not a whole message, in `timeout_s` seconds.
            Broken: it is gone or said what it must not.
        """
        kind, body = self._receive(Deadline.after(timeout_s))
        try:
            return _read(kind, body)
        except (ValueError, KeyError, TypeError, struct.error) as error:
            raise Broken(f"{kind.name} makes no sense ({type(error).__name__})") from error

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, kind: Kind, body: bytes) -> None:
        try:
            self._socket.sendall(_HEADER.pack(kind, len(body)) + body)
        except OSError as error:
            raise Broken("nobody listens") from error

    def _receive(self, deadline: Deadline | None) -> tuple[Kind, bytes]:
        number, length = _HEADER.unpack(self._exactly(_HEADER.size, deadline))
        try:
            kind = Kind(number)
        except ValueError:
            raise Broken(f"message kind {number}") from None
        if length > (_FRAME.size + _MOST_STILL if kind is Kind.FRAME else _MOST_JSON):
            raise Broken(f"{kind.name} of {length} bytes")
        return kind, self._exactly(length, deadline)

    def _exactly(self, length: int, deadline: Deadline | None) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            try:
                # Never 0, which would mean not to wait at all.
                self._socket.settimeout(None if deadline is None else max(0.001, deadline.remaining_s))
                part = self._socket.recv(min(length - len(parts), 1 << 18))
            except TimeoutError as error:
                raise Silent from error
            except OSError as error:
                raise Broken("its socket broke") from error
            if not part:
                raise Broken("it is gone")
            parts += part
        return bytes(parts)


def _read(kind: Kind, body: bytes) -> Said:
    if kind is Kind.FRAME:
        captured_ms, pts_ms, width, height = _FRAME.unpack_from(body)
        if captured_ms < 0 or not 0 <= pts_ms < 1 << 53 or len(body) == _FRAME.size:
            raise ValueError("numbers that cannot be")
        return Still(captured_ms, pts_ms, width, height, body[_FRAME.size :])
    fields = json.loads(body)
    if kind is Kind.OPENED:
        return Opened(str(fields["codec"])[:32], int(fields["width"]) & 0xFFFF, int(fields["height"]) & 0xFFFF)
    if kind is Kind.PULSE:
        return Pulse(max(0, int(fields["received"])), max(0.001, float(fields["seconds"])))
    if kind is Kind.ENDED:
        raise Trouble(_KINDS[fields["kind"]], str(fields["detail"])[:_LONGEST_DETAIL])
    raise ValueError(f"{kind.name} is not for the parent")
