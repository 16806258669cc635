"""The decoder process: takes jobs from its parent, decodes, writes frames into shared memory.

It is started bare (see `decoder.py`), gets everything over one socket, and has neither names nor a network to work
with: local media comes as a descriptor, remote media as bytes that its parent reads for it.
"""

import contextlib
import gc
import mmap
import os
import select
import socket
import sys
from collections import deque
from dataclasses import asdict
from typing import cast

import av

from agents.media.confinement import allow_processor_time, confine
from agents.media.containers import ReadableFile
from agents.media.exceptions import MediaError
from agents.media.frames import DecodeBudget, DecodedFrame, Decoding, FramePlan
from agents.media.hardware import Hardware, open_hardware
from agents.media.media_file import LocalFile, MediaFile, RemoteFile
from agents.media.protocol import Channel, Closed, Kind, Message
from agents.media.sniff import ImageFormat, VideoFormat
from agents.media.video import decode_video, probe_video


class Cancelled(Exception):
    """The parent does not want the job any more."""


class Lost(Exception):
    """The parent cannot get the media's bytes."""


class Worker:
    """Serves one parent until that is gone.

    Args:
        channel: The way to the parent.
        setup: Its first message.
        hardware: What videos are decoded on.
    """

    def __init__(self, channel: Channel, setup: Message, hardware: Hardware) -> None:
        self._channel = channel
        self._slot_bytes = setup.integer("slot_bytes", 1, 1 << 40)
        slots = setup.integer("slots", 1, 1 << 16)
        self._ring = memoryview(mmap.mmap(setup.descriptors[0], slots * self._slot_bytes))
        os.close(setup.descriptors[0])
        self._free = deque(range(slots))
        self._threads = setup.integer("threads", 1, 64)
        self._processor_s = setup.integer("processor_s", 1, 1 << 20)
        self._budget = DecodeBudget(**setup.fields["budget"])
        self._hardware = hardware
        self._decoding: Decoding | None = None
        self._job = -1
        self._cancelled = False
        self._lost = False

    def serve(self) -> None:
        """Does jobs, one after another.

        Raises:
            Closed: The parent is gone.
        """
        while True:
            message = self._channel.receive()
            if message.kind is Kind.JOB:
                self._work(message)
                gc.collect()
            else:
                self._note(message)

    def listen(self) -> None:
        """Takes in what the parent has said meanwhile.

        Raises:
            Cancelled: It does not want the job any more.
        """
        while select.select([self._channel], [], [], 0)[0]:
            self._note(self._channel.receive())
        if self._cancelled:
            raise Cancelled

    def ask(self, offset: int, length: int) -> bytes:
        """Bytes of the media, from the parent.

        Raises:
            Lost: It cannot get them.
            Cancelled: It does not want the job any more.
        """
        self.listen()
        if self._lost:
            raise Lost
        self._channel.send(Kind.READ, {"offset": offset, "length": length})
        while True:
            message = self._channel.receive()
            if message.kind is Kind.DATA:
                return message.data
            self._note(message)
            if self._lost:
                raise Lost
            if self._cancelled:
                raise Cancelled

    def _note(self, message: Message) -> None:
        if message.kind is Kind.RELEASE:
            self._free.extend(message.fields["slots"])
        elif message.kind is Kind.CANCEL:
            self._cancelled = self._cancelled or message.fields["job"] == self._job
        elif message.kind is Kind.LOST:
            self._lost = True

    def _work(self, message: Message) -> None:
        self._job = message.integer("job", 0, 1 << 62)
        self._cancelled = self._lost = False
        self._decoding = None
        size = message.integer("size", 0, 1 << 62)
        fd = message.descriptors[0] if message.descriptors else None
        file = RemoteFile(size, self.ask) if fd is None else LocalFile(size, fd, self.listen)
        allow_processor_time(self._processor_s)
        failure: MediaError | None = None
        try:
            self._do(message, file, size)
        except (Cancelled, Lost):
            pass
        except Closed:
            raise
        except MediaError as error:
            failure = error
        except MemoryError:
            failure = MediaError("too_large", "the media needs more memory than a decoder is given")
        except Exception as error:  # noqa: BLE001 - whatever a decoder raises on hostile bytes, they are undecodable
            failure = MediaError("undecodable", f"the decoder failed ({type(error).__name__})")
        finally:
            if fd is not None:
                os.close(fd)
        done: dict[str, object] = {"job": self._job, "bytes_read": file.bytes_read}
        if self._decoding is not None:
            done |= {"decoder": self._decoding.decoder, "why": self._decoding.why}
        if self._lost or failure is None:
            self._channel.send(Kind.DONE, done)
        else:
            self._channel.send(Kind.FAILED, done | {"kind": failure.kind, "reason": failure.reason})

    def _do(self, message: Message, file: MediaFile, size: int) -> None:
        container = message.text("format")
        is_image = message.fields["image"] is True
        plan = message.fields["plan"]
        media = cast("ReadableFile", file)
        if plan is None:
            if is_image:
                from agents.media.images import probe_image  # noqa: PLC0415 - Pillow only where there are pictures

                probe = probe_image(media, cast("ImageFormat", container), size, self._budget)
            else:
                probe = probe_video(media, cast("VideoFormat", container), size, self._budget, self._threads)
            self._channel.send(Kind.PROBED, {"job": self._job, "media_kind": probe.kind, **asdict(probe)})
            return
        wanted = FramePlan(**plan)
        if is_image:
            from agents.media.images import decode_image  # noqa: PLC0415

            frames = decode_image(media, cast("ImageFormat", container), size, wanted, self._budget)
        else:
            frames = decode_video(
                media,
                cast("VideoFormat", container),
                size,
                wanted,
                self._budget,
                self._threads,
                self._hardware,
                self._report,
            )
        with contextlib.closing(frames):
            for frame in frames:
                self._deliver(frame)

    def _report(self, decoding: Decoding) -> None:
        self._decoding = decoding

    def _deliver(self, frame: DecodedFrame) -> None:
        self.listen()
        while not self._free:
            self._note(self._channel.receive())
            if self._cancelled:
                raise Cancelled
        slot = self._free.popleft()
        start = slot * self._slot_bytes
        frame.write(self._ring[start : start + self._slot_bytes])
        self._channel.send(
            Kind.FRAME,
            {
                "job": self._job,
                "slot": slot,
                "width": frame.width,
                "height": frame.height,
                "frame_number": frame.frame_number,
                "pts_ms": frame.pts_ms,
                "is_key": int(frame.is_key),
                "source_width": frame.source_width,
                "source_height": frame.source_height,
            },
        )


def main(descriptor: int, parent: int) -> None:
    """Runs a decoder process.

    Args:
        descriptor: Socket to the parent.
        parent: Its process id.
    """
    channel = Channel(socket.socket(fileno=descriptor), accepts_descriptors=True)
    with contextlib.suppress(Closed):
        setup = channel.receive()
        av.logging.set_libav_level(av.logging.PANIC)
        hardware = open_hardware("cuda" if setup.text("hardware") == "cuda" else "none")
        address_space = setup.integer("address_space", 1, 1 << 50)
        held = confine(parent, address_space, device=hardware.accel is not None)
        worker = Worker(channel, setup, hardware)
        channel.send(Kind.READY, {"held": held})
        # From here on nothing that a file makes a library print leaves this process.
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)
        gc.freeze()
        worker.serve()
