"""Workers join, share, leave and take over, whatever group protocol the broker has."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event as Flag
from typing import ClassVar

import pytest

from agents.local import ApacheKafka, apache_available
from agents.runtime.agent import Agent, Lane
from agents.runtime.messages import Handled, Incoming
from schemas.media import MediaUpload
from schemas.verdict import Outcome
from tests.pipeline.conftest import NewFleet
from tests.support.fleet import Fleet
from tests.support.media import MediaFolder, image_bytes, photograph
from topics import catalogue


def uploads(fleet: Fleet, media: MediaFolder, start: int, count: int) -> list[MediaUpload]:
    """Uploads that are not there: the quickest way to a verdict."""
    return [fleet.upload(media.folder / f"{number}.jpg", f"{number}") for number in range(start, start + count)]


def test_a_worker_that_leaves_hands_its_partitions_over(scoring_fleet: Fleet, media: MediaFolder) -> None:
    fleet = scoring_fleet
    with fleet.running("uploads") as (first,):
        with fleet.running("uploads") as (second,):
            fleet.await_that(
                lambda: (
                    [first.process.health.report().partitions, second.process.health.report().partitions]
                    in ([1, 2], [2, 1])
                ),
                "three partitions to be shared",
            )
            fleet.publish(catalogue.UPLOADS, uploads(fleet, media, 0, 30))
            assert len(fleet.await_verdicts(30)) == 30
            assert min(first.count("fleet_messages_consumed"), second.count("fleet_messages_consumed")) > 0
        fleet.await_that(lambda: first.process.health.report().partitions == 3, "the first worker to have all")
        fleet.publish(catalogue.UPLOADS, uploads(fleet, media, 30, 30))
        verdicts = fleet.await_verdicts(60)
    assert {verdict.outcome for verdict in verdicts.values()} == {Outcome.UNREACHABLE}
    # What a drained worker did was committed: nothing was done twice.
    assert len(fleet.messages(catalogue.VERDICTS.name)) == 60


def test_a_drained_worker_leaves_nothing_to_do_again(scoring_fleet: Fleet, media: MediaFolder) -> None:
    fleet = scoring_fleet
    still = media.write("still.jpg", image_bytes(photograph(), "JPEG"))
    fleet.publish(catalogue.UPLOADS, [fleet.upload(still, f"{number}") for number in range(20)])
    with fleet.running("uploads"):
        fleet.await_messages(catalogue.SEGMENTS.name, 20)
    for _ in range(2):  # stopped in the middle of its work, twice
        with fleet.running("segments") as (segments,):
            fleet.await_count(segments, "fleet_messages_completed", 4)
    with fleet.running("segments") as (segments,):
        assert len(fleet.await_verdicts(20)) == 20
    assert len(fleet.messages(catalogue.VERDICTS.name)) == 20


class Gated(Agent):
    """Handles uploads while its gate is open, and reads few ahead."""

    name: ClassVar[str] = "gated"
    lanes: ClassVar[Sequence[Lane]] = (Lane((catalogue.UPLOADS,), max_messages=2),)

    def __init__(self, gate: Flag, handled: set[str]) -> None:
        self._gate = gate
        self._handled = handled

    def handle(self, batch: Sequence[Incoming]) -> Sequence[Handled]:
        """Note which content each message is of."""
        self._gate.wait()
        self._handled.update(message.event(MediaUpload).content_id for message in batch)
        return [Handled() for _ in batch]


def test_partitions_that_were_given_away_while_paused_are_read_when_they_come_back(
    new_fleet: NewFleet, media: MediaFolder
) -> None:
    fleet = new_fleet(FLEET_RUNTIME__DRAIN_TIMEOUT_S="0.5")
    shut, opened, handled = Flag(), Flag(), set[str]()
    opened.set()
    fleet.publish(catalogue.UPLOADS, uploads(fleet, media, 0, 30))
    with fleet.running(Gated(shut, handled)) as (first,):
        fleet.await_that(lambda: first.count("fleet_paused_topics") == 1, "a full lane to be paused")
        with fleet.running(Gated(opened, handled)) as (second,):
            fleet.await_that(lambda: second.process.health.report().partitions > 0, "the second worker to have some")
            fleet.await_that(lambda: first.process.health.report().partitions < 3, "the first worker to give them")
            shut.set()
            fleet.await_that(lambda: len(handled) == 30, "both to handle what there is")
            fleet.await_that(lambda: first.count("fleet_paused_topics") == 0, "the lane to be resumed")
        fleet.await_that(lambda: first.process.health.report().partitions == 3, "the first worker to have all")
        fleet.publish(catalogue.UPLOADS, uploads(fleet, media, 30, 30))
        fleet.await_that(lambda: len(handled) == 60, lambda: f"the rest to be handled, of which were {sorted(handled)}")


@pytest.fixture
def older_kafka() -> Iterator[ApacheKafka]:
    """A broker without KIP-848."""
    if (reason := apache_available()) is not None:
        pytest.skip(reason)
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        broker = ApacheKafka(folder, properties={"group.coordinator.rebalance.protocols": "classic"})
        broker.start()
        yield broker
        broker.stop()


@pytest.mark.real_kafka
def test_an_older_broker_gets_classic_groups(
    migrated: dict[str, str], older_kafka: ApacheKafka, media: MediaFolder, tiny_manifest: Path
) -> None:
    environment = {**migrated, "FLEET_KAFKA__BOOTSTRAP_SERVERS": older_kafka.url}
    fleet = Fleet(environment, media.folder, FLEET_MODELS__MANIFEST=str(tiny_manifest))
    with fleet.running("uploads") as (first,), fleet.running("uploads") as (second,):
        fleet.await_that(
            lambda: (
                [first.process.health.report().partitions, second.process.health.report().partitions]
                in ([1, 2], [2, 1])
            ),
            "three partitions to be shared",
        )
        fleet.publish(catalogue.UPLOADS, uploads(fleet, media, 0, 10))
        assert len(fleet.await_verdicts(10)) == 10
    fleet.close()


@pytest.mark.real_kafka
def test_a_static_member_gets_its_partitions_back_and_the_others_keep_theirs(
    new_fleet: NewFleet, media: MediaFolder
) -> None:
    fleet = new_fleet(FLEET_RUNTIME__INSTANCE="worker-0")
    runtime = fleet.settings.runtime.model_copy(update={"instance": "worker-1"})
    other = fleet.settings.model_copy(update={"runtime": runtime})
    with fleet.running("uploads", settings=other) as (second,):
        with fleet.running("uploads") as (first,):
            fleet.await_that(
                lambda: (
                    [first.process.health.report().partitions, second.process.health.report().partitions]
                    in ([1, 2], [2, 1])
                ),
                "three partitions to be shared",
            )
            mine = first.process.health.report().partitions
        before = second.count("fleet_rebalances")
        with fleet.running("uploads") as (again,):
            fleet.await_that(lambda: again.process.health.report().partitions == mine, "the same partitions")
            fleet.publish(catalogue.UPLOADS, uploads(fleet, media, 0, 10))
            assert len(fleet.await_verdicts(10)) == 10
        assert second.count("fleet_rebalances") == before
