"""How many decoder processes there are and what each may use."""

from dataclasses import dataclass, field

from agents.media.frames import DecodeBudget, HardwareKind


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxPolicy:
    """Bounds on decoding media. A decoder that goes over one is ended, and its job with it.

    Attributes:
        workers: Processes, and so jobs at a time.
        max_side: Longest side of a frame that a plan may ask for, in pixels; sets the size of the rings.
        ring_slots: Frames that a process may be ahead of who uses them.
        jobs_per_worker: Jobs after which a process is replaced.
        start_timeout_s: Longest start of a process, in seconds.
        probe_timeout_s: Longest probe, in seconds of the process's own time: waiting for its parent to
            release frames or to read does not count.
        job_timeout_s: Longest decoding job, counted likewise.
        frame_timeout_s: Longest time without a new frame, counted likewise.
        read_timeout_s: Longest read that the parent makes for a process, in seconds.
        held_timeout_s: How long a frame is waited for while every slot of the ring is held by others, in seconds:
            then nobody is going to release one.
        cancel_timeout_s: How long a process may take to leave a job that nobody wants any more.
        processor_s: Processor time for one job, in seconds, enforced by the kernel.
        address_space: Virtual memory of a process, in bytes.
        threads: Threads that a video decoder uses.
        hardware: The device that videos are decoded on where it can, or `none`.
        budget: What one job may cost in pixels and frames.
    """

    workers: int = 2
    max_side: int = 1920
    ring_slots: int = 6
    jobs_per_worker: int = 500
    start_timeout_s: float = 30.0
    probe_timeout_s: float = 30.0
    job_timeout_s: float = 300.0
    frame_timeout_s: float = 30.0
    read_timeout_s: float = 120.0
    held_timeout_s: float = 60.0
    cancel_timeout_s: float = 1.0
    processor_s: int = 300
    address_space: int = 2 * 1024**3
    threads: int = 1
    hardware: HardwareKind = "none"
    budget: DecodeBudget = field(default_factory=DecodeBudget)
