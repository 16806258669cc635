"""How long a decoder is waited for."""

from agents.media.sandbox_policy import SandboxPolicy


class OutOfPatience(Exception):
    """The decoder is to be ended; the message says why."""


class Patience:
    """The limits of time on one job. It holds no clock: whoever waits says how long it has waited.

    Args:
        policy: The limits, in seconds.
        is_probe: Whether the job is a probe, which gives no frames.
    """

    def __init__(self, policy: SandboxPolicy, is_probe: bool) -> None:
        self._limit_s = policy.probe_timeout_s if is_probe else policy.job_timeout_s
        self._silence_s = self._limit_s if is_probe else policy.frame_timeout_s
        self._cancel_s = policy.cancel_timeout_s
        self._spent_s = self._silent_s = self._unwanted_s = 0.0

    def waited(self, seconds: float, its_turn: bool, wanted: bool) -> None:
        """Counts seconds of waiting for the decoder.

        Args:
            seconds: How long.
            its_turn: Whether it could work: not when every slot of its ring was held by others.
            wanted: Whether anybody still wants the job.

        Raises:
            OutOfPatience: A limit is passed.
        """
        if its_turn:
            self._spent_s += seconds
            self._silent_s += seconds
        if not wanted:
            self._unwanted_s += seconds
        if self._unwanted_s > self._cancel_s:
            raise OutOfPatience("the decoder did not stop when it was told to")
        if self._spent_s > self._limit_s:
            raise OutOfPatience(f"the decoder was not done after {self._limit_s:g} s")
        if self._silent_s > self._silence_s:
            raise OutOfPatience(f"the decoder gave no frame for {self._silence_s:g} s")

    def got_frame(self) -> None:
        """Notes that the decoder gave a frame."""
        self._silent_s = 0.0
