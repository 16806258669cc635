"""The examples of docs/integrate.md, run as they stand there."""

import re
from base64 import b64encode
from pathlib import Path
from time import time
from typing import Any

import pytest
from standardwebhooks import WebhookVerificationError

from agents.notifying.deliverer import webhook_body
from agents.notifying.signing import key_of, signature
from tests.pipeline.test_hooks import SECRET
from tests.support.alerts import stream_alert
from tests.support.fleet import Fleet
from tests.support.live import untouched
from tests.support.media import MediaFolder, image_bytes, photograph
from topics import catalogue

PAGE = (Path(__file__).parents[2] / "docs" / "integrate.md").read_text("utf-8")
EXAMPLES = {
    code.partition(":")[0].removeprefix("# "): code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
}


def run(example: str, **given: object) -> dict[str, Any]:
    names: dict[str, Any] = dict(given)
    exec(compile(EXAMPLES[example], f"docs/integrate.md: {example}", "exec"), names)
    return names


def test_they_are_three_and_import_nothing_of_ours() -> None:
    assert EXAMPLES.keys() == {"verify", "subscribe", "publish"}
    for code in EXAMPLES.values():
        assert len([line for line in code.splitlines() if line.strip()]) <= 13
        imported = set(re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE))
        assert imported <= {"json", "datetime", "confluent_kafka", "standardwebhooks"}


def test_a_webhook_is_verified_once_and_a_forged_one_is_not() -> None:
    alert = stream_alert("show")
    body = webhook_body(alert)
    moment = int(time())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(moment),
        "webhook-signature": signature([key_of(SECRET)], "msg_1", moment, body),
    }
    alert_in = run("verify")["alert_in"]
    assert alert_in(SECRET, body, headers)["alert_id"] == str(alert.alert_id)
    assert alert_in(SECRET, body, headers) is None, "it comes again"
    with pytest.raises(WebhookVerificationError):
        alert_in("whsec_" + b64encode(b"another secret of 24 bytes").decode(), body, headers)


@pytest.mark.real_kafka
def test_a_moderation_tool_sees_alerts(fleet: Fleet) -> None:
    fleet.publish(catalogue.ALERTS, [stream_alert("show")])
    shown: list[tuple[object, ...]] = []
    kafka = fleet.settings.kafka

    def show(*facts: object) -> None:
        shown.append(facts)

    run("subscribe", BROKERS=kafka.bootstrap_servers, PREFIX=kafka.topic_prefix, show=show)
    assert shown == [("raised", "show", "high", 0.9, "A face looks altered.")]


def test_a_content_pipeline_publishes_what_the_fleet_reads(scoring_fleet: Fleet, media: MediaFolder) -> None:
    fleet = scoring_fleet
    still = media.write("still.jpg", image_bytes(photograph(), "JPEG"))
    kafka = fleet.settings.kafka
    with fleet.running("uploads", "segments", "frames") as (_, _, frames):
        run(
            "publish",
            BROKERS=kafka.bootstrap_servers,
            PREFIX=kafka.topic_prefix,
            URI=still.as_uri(),
            JPEG=untouched(),
        )
        fleet.await_verdicts(1)
        fleet.await_that(lambda: frames.count("fleet_live_frames", outcome="added") == 1, "the frame in its window")
    assert fleet.messages("media.uploads.dlq") == []
    assert fleet.messages("media.frames.dlq") == []
