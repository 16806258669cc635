"""The one way out for media: probes and frames, decoded in processes that can be lost without harm."""

import os
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from agents.media.decoder import Decoder, DecoderStartError
from agents.media.frames import Decoding, FramePlan, MediaProbe
from agents.media.jobs import Job
from agents.media.sandbox_policy import SandboxPolicy
from agents.media.shared_frames import Frame, Ring
from agents.media.sniff import Sniffed, sniff
from agents.media.source import MediaSource


class DecoderPoolClosed(RuntimeError):
    """The pool was closed while a job was queued or under way."""


class FramesHeld(RuntimeError):
    """A frame was asked for while all that the ring has room for were held: release them as they are used."""


class FrameStream:
    """The frames of one job, as an iterator; close it, or use it as a context manager, to end the job early.

    The decoder runs ahead by as many frames as its ring has slots and then waits, so release each frame when it has
    been used. Not for several threads at once.
    """

    def __init__(self, pool: "DecoderPool", job: Job) -> None:
        self._pool = pool
        self._job = job
        self._ring: Ring | None = None
        self._ended = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        """The next frame.

        Raises:
            MediaError: Nothing more can be had; the frames until here are good.
            DecoderStartError: No decoder process comes up.
            DecoderPoolClosed: The pool was closed.
            FramesHeld: No frame can come, as none is released.
        """
        if self._ended:
            raise StopIteration
        result = self._result()
        if isinstance(result, Frame):
            self._ring = result.ring
            return result
        self._ended = True
        if isinstance(result, Exception):
            raise result
        raise StopIteration

    def _result(self) -> Frame | MediaProbe | Exception | None:
        while True:
            if self._ring is not None:
                self._ring.collect()
            try:
                return self._job.results.get(timeout=self._pool.policy.held_timeout_s)
            except queue.Empty:
                if self._ring is not None and self._ring.full:
                    raise FramesHeld(f"all {self._ring.slots} frames of the ring are held") from None

    def close(self) -> None:
        """Ends the job; frames that were not taken yet are released, those that were taken are not."""
        if not self._ended:
            self._ended = True
            self._pool.cancel(self._job)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A stream that was forgotten: the decoder's thread sees the mark; to tell it now could need locks.
        self._job.cancelled.set()


class DecoderPool:
    """Decoder processes that share a queue of jobs. May be used by many threads; close it when none does any more.

    A decoder that crashes, hangs or goes over a limit is killed and replaced, and its job ends with
    `MediaError('undecodable', ...)`.

    Args:
        policy: How many processes there are and what each may use.
        report: Told what has decoded each video, by the threads of the pool.
    """

    def __init__(
        self, policy: SandboxPolicy | None = None, report: Callable[[Decoding], None] = lambda _: None
    ) -> None:
        self.policy = policy or SandboxPolicy()
        self._report = report
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._decoders: dict[int, Decoder] = {}
        self._deciding = threading.Lock()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._drive, args=(index,), name=f"decoder-{index}", daemon=True)
            for index in range(self.policy.workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pids(self) -> list[int]:
        """The decoder processes that run now."""
        with self._deciding:
            return [decoder.pid for decoder in self._decoders.values()]

    def probe(self, source: MediaSource, sniffed: Sniffed | None = None) -> MediaProbe:
        """What the media is.

        Args:
            source: Opened media.
            sniffed: Its type, if it is known already.

        Raises:
            MediaError: Any kind but `forbidden`.
            DecoderStartError: No decoder process comes up.
            DecoderPoolClosed: The pool was closed.
        """
        job = self._submit(source, sniffed, None)
        result = job.results.get()
        if isinstance(result, MediaProbe):
            return result
        raise result if isinstance(result, Exception) else AssertionError("a probe without a result")

    def frames(self, source: MediaSource, plan: FramePlan, sniffed: Sniffed | None = None) -> FrameStream:
        """The frames that `plan` asks for: the key frames among them first, each of both parts in time order.

        Args:
            source: Opened media; keep it open until the stream has ended or is closed.
            plan: Which frames; its `max_side` is at most the policy's.
            sniffed: The media's type, if it is known already.

        Raises:
            MediaError: The media's type is `unsupported`, or it is `unreachable`; what decoding finds is raised by
                the stream.
            DecoderPoolClosed: The pool was closed.
        """
        if plan.max_side > self.policy.max_side:
            raise ValueError(f"a plan for {plan.max_side} pixels needs a pool for as many")
        return FrameStream(self, self._submit(source, sniffed, plan))

    def cancel(self, job: Job) -> None:
        """Ends a job that nobody wants any more."""
        job.cancelled.set()
        with self._deciding:
            decoders = list(self._decoders.values())
        for decoder in decoders:
            decoder.cancel(job)

    def close(self) -> None:
        """Ends all decoders; jobs under way end with `DecoderPoolClosed`. Frames that were handed out stay valid."""
        with self._deciding:
            self._closing = True
            decoders = list(self._decoders.values())
        for decoder in decoders:
            decoder.kill()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _submit(self, source: MediaSource, sniffed: Sniffed | None, plan: FramePlan | None) -> Job:
        sniffed = sniffed or sniff(source)
        with self._deciding:
            if self._closing:
                raise DecoderPoolClosed("the decoder pool is closed")
            fd = source.local_fd()
            job = Job(source, sniffed, plan, None if fd is None else os.dup(fd))
            self._jobs.put(job)
        return job

    def _drive(self, index: int) -> None:
        """One decoder's thread. It lives as long as the pool, as the process wants its starter to."""
        start_error = self._start(index)
        while (job := self._jobs.get()) is not None:
            if index not in self._decoders:
                start_error = self._start(index)
            decoder = self._decoders.get(index)
            try:
                outcome = start_error if decoder is None else self._work(index, decoder, job)
            except Exception as error:  # noqa: BLE001 - a fault of ours is raised where the job is waited for
                outcome = error
                self._stop(index)
            if job.fd is not None:
                os.close(job.fd)
            if job.cancelled.is_set():
                _release_untaken(job)
            job.results.put(DecoderPoolClosed("the decoder pool is closed") if self._closing else outcome)
            if index not in self._decoders:
                start_error = self._start(index)
        self._stop(index)

    def _work(self, index: int, decoder: Decoder, job: Job) -> Exception | None:
        if job.cancelled.is_set() or self._closing:
            return None
        outcome, alive = decoder.do(job)
        if job.decoding is not None:
            self._report(job.decoding)
        if not alive or decoder.jobs_done >= self.policy.jobs_per_worker:
            self._stop(index)
        return outcome

    def _start(self, index: int) -> DecoderStartError | None:
        if self._closing:
            return None
        try:
            decoder = Decoder(self.policy)
        except DecoderStartError as error:
            return error
        with self._deciding:
            self._decoders[index] = decoder
            if self._closing:
                decoder.kill()
        return None

    def _stop(self, index: int) -> None:
        with self._deciding:
            decoder = self._decoders.pop(index, None)
        if decoder is not None:
            decoder.end()


def _release_untaken(job: Job) -> None:
    """Gives back the frames of a job that nobody wants; its decoder's thread alone puts any there."""
    while not job.results.empty():
        frame = job.results.get()
        if isinstance(frame, Frame):
            frame.release()
