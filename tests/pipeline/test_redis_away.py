"""While Redis is away the agents wait and say so; nothing is dropped, and no window is lost."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agents.local import Valkey
from schemas.verdict import Outcome
from tests.support.fleet import Fleet
from tests.support.media import MediaFolder, image_bytes, photograph
from topics import catalogue


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """A Valkey that only this test uses."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Valkey(folder)
        server.start()
        yield server
        server.stop()


def test_agents_wait_while_redis_is_away_and_go_on_when_it_is_back(
    migrated: dict[str, str], valkey: Valkey, media: MediaFolder, tiny_manifest: Path
) -> None:
    fleet = Fleet(
        {**migrated, "FLEET_REDIS__URL": valkey.url},
        media.folder,
        FLEET_MODELS__MANIFEST=str(tiny_manifest),
        FLEET_REDIS__TIMEOUT_S="1",
    )
    still = media.write("still.jpg", image_bytes(photograph(), "JPEG"))
    with fleet.running("uploads", "segments") as (uploads, segments):
        fleet.publish(catalogue.UPLOADS, [fleet.upload(still, "before")])
        fleet.await_verdicts(1)
        valkey.kill()
        fleet.publish(catalogue.UPLOADS, [fleet.upload(still, f"while-{number}") for number in range(3)])
        fleet.await_that(lambda: "redis" in uploads.process.health.report().away, "uploads to say that Redis is away")
        assert uploads.process.health.report().alive
        assert not uploads.process.health.report().ready
        assert segments.process.health.report().alive
        valkey.restart()
        verdicts = fleet.await_verdicts(4)
        fleet.await_that(lambda: uploads.process.health.report().ready, "uploads to be ready again")
    assert {verdict.outcome for verdict in verdicts.values()} == {Outcome.SCORED}
    assert fleet.messages("media.uploads.dlq") == []
    assert fleet.messages("media.segments.dlq") == []
    fleet.close()
