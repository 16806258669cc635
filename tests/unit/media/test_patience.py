"""A decoder is waited for while it is its turn, and no longer than the policy says."""

import pytest

from agents.media.patience import OutOfPatience, Patience
from agents.media.sandbox_policy import SandboxPolicy

POLICY = SandboxPolicy(probe_timeout_s=3.0, job_timeout_s=10.0, frame_timeout_s=4.0, cancel_timeout_s=1.0)


def test_a_job_ends_at_its_limit_though_frames_come() -> None:
    patience = Patience(POLICY, is_probe=False)
    for _ in range(10):
        patience.waited(1.0, its_turn=True, wanted=True)
        patience.got_frame()
    with pytest.raises(OutOfPatience, match="after 10 s"):
        patience.waited(0.5, its_turn=True, wanted=True)


def test_silence_ends_a_job() -> None:
    patience = Patience(POLICY, is_probe=False)
    patience.waited(3.9, its_turn=True, wanted=True)
    patience.got_frame()
    patience.waited(3.9, its_turn=True, wanted=True)
    with pytest.raises(OutOfPatience, match="no frame for 4 s"):
        patience.waited(0.2, its_turn=True, wanted=True)


def test_time_that_others_take_does_not_count() -> None:
    patience = Patience(POLICY, is_probe=False)
    patience.waited(1000.0, its_turn=False, wanted=True)
    patience.waited(3.0, its_turn=True, wanted=True)


def test_a_probe_has_its_own_limit() -> None:
    with pytest.raises(OutOfPatience, match="after 3 s"):
        Patience(POLICY, is_probe=True).waited(3.1, its_turn=True, wanted=True)


def test_a_cancelled_job_is_waited_for_only_briefly() -> None:
    with pytest.raises(OutOfPatience, match="when it was told to"):
        Patience(POLICY, is_probe=False).waited(1.1, its_turn=False, wanted=False)
