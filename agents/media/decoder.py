"""A decoder process as its parent sees it: started, given jobs, watched, ended."""

import contextlib
import itertools
import queue
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict

from agents.media.answers import LARGEST_COUNT, decoding_in, failure_in, frame_in, probe_in
from agents.media.decoder_process import spawn
from agents.media.exceptions import MediaError
from agents.media.frames import MediaProbe
from agents.media.jobs import Job
from agents.media.patience import OutOfPatience, Patience
from agents.media.protocol import MOST_DATA, Channel, Closed, Kind, Message, ProtocolError
from agents.media.sandbox_policy import SandboxPolicy
from agents.media.shared_frames import CHANNELS, Frame, Ring
from agents.media.source import MediaSource

__all__ = ["Decoder", "DecoderStartError", "SandboxPolicy"]

_TICK_S = 0.25  # how exactly the limits of time are kept
_STALL_S = 10.0  # a message that began and does not end within this is a decoder gone bad


class DecoderStartError(RuntimeError):
    """A decoder process does not come up: the installation is at fault, not the media."""


class Decoder:
    """One decoder process. All but `cancel`, `kill` and the release of frames belongs to the thread that started it.

    That thread must live as long as the process: its end is what the kernel watches (PR_SET_PDEATHSIG).

    Attributes:
        jobs_done: Jobs begun so far.
        measures: What confines the process, in words.

    Raises:
        DecoderStartError: It does not come up.
    """

    def __init__(self, policy: SandboxPolicy) -> None:
        self._policy = policy
        self._numbers = itertools.count()
        self._current: tuple[int, Job] | None = None
        ours, theirs = socket.socketpair()
        ours.settimeout(_STALL_S)
        self._channel = Channel(ours)
        self._ring = Ring(policy.ring_slots, policy.max_side**2 * CHANNELS, self._give_back)
        with theirs:
            self._process = spawn(theirs.fileno(), policy)
        self._ended = False
        self.jobs_done = 0
        self.measures = self._set_up()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def do(self, job: Job) -> tuple[Exception | None, bool]:
        """Does a job, its frames or probe into its results: (what went wrong, whether the process lives on)."""
        number = next(self._numbers)
        self._ring.collect()
        self._current = (number, job)
        self.jobs_done += 1
        try:
            self._begin(number, job)
            return self._follow(number, job), True
        except OutOfPatience as error:
            outcome = MediaError("undecodable", str(error))
        except ProtocolError:
            outcome = MediaError("undecodable", "the decoder went astray")
        except Closed:
            outcome = self._post_mortem()
        finally:
            self._current = None
        self.end()
        return outcome, False

    def cancel(self, job: Job) -> None:
        """Tells the decoder that a job is not wanted any more, if it is at it. From any thread."""
        current = self._current
        if current is not None and current[1] is job:
            self._say(Kind.CANCEL, {"job": current[0]})

    def kill(self) -> None:
        """Kills the process and cancels its job, so that `do` ends soon. From any thread."""
        if (current := self._current) is not None:
            current[1].cancelled.set()
        self._process.kill()

    def end(self) -> None:
        """Kills the process and waits for it; once is enough. Frames that were handed out stay valid."""
        if self._ended:
            return
        self._ended = True
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._channel.close()
        self._ring.close()

    def _set_up(self) -> list[str]:
        policy = self._policy
        fields = {
            "slots": self._ring.slots,
            "slot_bytes": self._ring.slot_bytes,
            "threads": policy.threads,
            "processor_s": policy.processor_s,
            "address_space": policy.address_space,
            "hardware": policy.hardware,
            "budget": asdict(policy.budget),
        }
        ready = None
        with contextlib.suppress(Closed, ProtocolError):
            self._channel.send(Kind.SETUP, fields, descriptors=(self._ring.fd,))
            if self._says_something(policy.start_timeout_s):
                ready = self._channel.receive()
        if ready is None or ready.kind is not Kind.READY:
            self._process.kill()
            _, complaint = self._process.communicate()
            self.end()
            last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
            raise DecoderStartError(f"a decoder process does not start: {last or 'it says nothing'}")
        return [str(measure) for measure in ready.fields["held"]]

    def _begin(self, number: int, job: Job) -> None:
        self._channel.send(
            Kind.JOB,
            {
                "job": number,
                "size": job.source.size,
                "format": job.sniffed.format,
                "image": job.sniffed.kind == "image",
                "plan": None if job.plan is None else asdict(job.plan),
            },
            descriptors=() if job.fd is None else (job.fd,),
        )
        if job.cancelled.is_set():
            self.cancel(job)

    def _follow(self, number: int, job: Job) -> MediaError | None:
        """Answers the decoder until it is done with the job."""
        patience = Patience(self._policy, job.plan is None)
        loss: MediaError | None = None
        probe: MediaProbe | None = None
        while True:
            message = self._next_message(job, patience)
            if message.kind is Kind.READ:
                loss = self._read(job, message) or loss
                continue
            if message.integer("job", 0, LARGEST_COUNT) != number:
                raise ProtocolError("another job's message")
            if message.kind is Kind.FRAME and job.plan is not None:
                patience.got_frame()
                self._hand_out(job, message)
            elif message.kind is Kind.PROBED and job.plan is None:
                probe = probe_in(message)
            elif message.kind in {Kind.DONE, Kind.FAILED}:
                job.decoding = decoding_in(message)
                if job.fd is not None:
                    job.source.count_read(message.integer("bytes_read", 0, LARGEST_COUNT))
                if probe is not None and loss is None:
                    job.results.put(probe)
                return loss or (failure_in(message) if message.kind is Kind.FAILED else None)
            else:
                raise ProtocolError(f"{message.kind.name} is out of place")

    def _next_message(self, job: Job, patience: Patience) -> Message:
        while True:
            its_turn, began = not self._ring.full, time.monotonic()
            ready = self._says_something(_TICK_S)
            wanted = not job.cancelled.is_set()
            patience.waited(time.monotonic() - began, its_turn, wanted)
            self._ring.collect()
            if not (ready or wanted):
                # Also where nobody could say so: a stream that was forgotten, not closed.
                self.cancel(job)
            if ready:
                return self._channel.receive()

    def _hand_out(self, job: Job, message: Message) -> None:
        frame = Frame(self._ring, frame_in(message))
        if job.cancelled.is_set():
            frame.release()
        else:
            job.results.put(frame)

    def _read(self, job: Job, message: Message) -> MediaError | None:
        """Reads for the decoder; what hinders it is told to both.

        In a thread of its own, so that an origin that never answers holds neither the job nor its cancelling.
        """
        offset = message.integer("offset", 0, job.source.size)
        length = message.integer("length", 1, min(MOST_DATA, job.source.size - offset))
        read: queue.SimpleQueue[bytes | MediaError] = queue.SimpleQueue()
        threading.Thread(target=_read_into, args=(read, job.source, offset, length), daemon=True).start()
        waited_s, result = 0.0, None
        while result is None and waited_s < self._policy.read_timeout_s and not job.cancelled.is_set():
            with contextlib.suppress(queue.Empty):
                result = read.get(timeout=_TICK_S)
            waited_s += _TICK_S
        if isinstance(result, bytes):
            self._channel.send(Kind.DATA, data=result)
            return None
        self._channel.send(Kind.LOST)
        return result or MediaError("unreachable", f"{job.source.name} could not be read in time", transient=True)

    def _says_something(self, timeout_s: float) -> bool:
        """Whether the process says something, or is gone, within this many seconds."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def _give_back(self, slots: Iterable[int]) -> None:
        self._say(Kind.RELEASE, {"slots": list(slots)})

    def _say(self, kind: Kind, fields: dict[str, object]) -> None:
        """Says something that does not matter any more when nobody listens."""
        with contextlib.suppress(Closed):
            self._channel.send(kind, fields)

    def _post_mortem(self) -> MediaError:
        """Why the process is gone, from how it ended."""
        try:
            status = self._process.wait(_STALL_S)
        except subprocess.TimeoutExpired:
            return MediaError("undecodable", "the decoder fell silent")
        if status == -signal.SIGXCPU:
            limit = self._policy.processor_s
            return MediaError("undecodable", f"the decoder used over {limit} s of processor time")
        if status >= 0:
            return MediaError("undecodable", f"the decoder ended by itself with status {status}")
        # SIGKILL is not of our sending here: the machine may lack memory, and another try may do better.
        name, killed = signal.Signals(-status).name, status == -signal.SIGKILL
        return MediaError("undecodable", f"the decoder crashed ({name})", transient=killed)


def _read_into(result: "queue.SimpleQueue[bytes | MediaError]", source: MediaSource, offset: int, length: int) -> None:
    try:
        result.put(source.read_at(offset, length))
    except MediaError as error:
        result.put(error)
    except ValueError:
        result.put(MediaError("unreachable", f"{source.name} was closed while it was decoded"))
