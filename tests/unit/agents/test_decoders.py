import logging

import pytest

from agents.decoders import Decoders
from agents.media.decoder import SandboxPolicy
from agents.media.frames import Decoding, HardwareKind
from agents.runtime.metrics import Metrics


def counted(metrics: Metrics) -> dict[str, float]:
    return {
        sample.labels["decoder"]: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "fleet_decoded_streams_total"
    }


@pytest.mark.parametrize(("hardware", "level"), [("none", logging.INFO), ("cuda", logging.WARNING)])
def test_what_decodes_is_counted_each_time_and_said_once(
    hardware: HardwareKind, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    decoders = Decoders(SandboxPolicy(hardware=hardware), metrics)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            decoders.note(Decoding("software", "CUDA does not open"))
        decoders.note(Decoding("cuda"))
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (level, "videos are decoded in software: CUDA does not open"),
        (logging.INFO, "videos are decoded by cuda"),
    ]
    assert counted(metrics) == {"software": 3.0, "cuda": 1.0}


def test_reasons_without_end_are_not_all_said(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    decoders = Decoders(SandboxPolicy(hardware="cuda"), metrics)
    with caplog.at_level(logging.INFO):
        for number in range(100):
            decoders.note(Decoding("software", f"reason {number}"))
    assert len(caplog.records) == 16
    assert counted(metrics) == {"software": 100.0}
