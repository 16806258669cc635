"""The command line against real servers, real models and real files."""

import json
import os
import signal
import subprocess
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from PIL import Image
from psycopg import sql

from agents.cli.exits import ExitCode
from agents.local.ports import choose_ports
from schemas.verdict import Label, Outcome, Verdict
from tests.support.commands import Command, run_fleet, started_fleet
from tests.support.fleet import Fleet, database_url
from tests.support.media import Clip, MediaFolder, image_bytes, photograph
from topics import catalogue
from topics.catalogue import all_topics

CLIP = Clip(width=320, height=320, fps=10, frames=20)


@pytest.fixture
def scan_variables(tiny_manifest: Path) -> dict[str, str]:
    return {"FLEET_MODELS__MANIFEST": str(tiny_manifest)}


def verdicts(answer: "subprocess.CompletedProcess[str]") -> list[Verdict]:
    return [Verdict.model_validate_json(line) for line in answer.stdout.splitlines()]


class TestScan:
    def test_good_and_bad_files_each_have_a_typed_verdict(
        self, media: MediaFolder, scan_variables: dict[str, str]
    ) -> None:
        good = media.clip(CLIP)
        files = {
            good: Outcome.SCORED,
            media.write("still.jpg", image_bytes(photograph(), "JPEG")): Outcome.SCORED,
            media.write("grey.png", image_bytes(np.full((200, 200, 3), 128, np.uint8), "PNG")): Outcome.NO_FACE,
            media.write("empty.mp4", b""): Outcome.UNDECODABLE,
            media.write("cut.mp4", good.read_bytes()[:2000]): Outcome.UNDECODABLE,
            media.write("notes.mp4", b"this is no video, whatever it is called\n" * 50): Outcome.UNSUPPORTED,
        }
        answer = run_fleet("scan", "--json", *map(str, files), variables=scan_variables)
        assert answer.returncode == ExitCode.MEDIA_UNREAD, answer.stderr
        found = verdicts(answer)
        assert [verdict.outcome for verdict in found] == [*files.values()]
        assert all(verdict.reason for verdict in found if verdict.outcome is not Outcome.SCORED)
        assert "Traceback" not in answer.stderr

    def test_a_verdict_is_drawn_with_every_frame_that_was_looked_at(
        self, media: MediaFolder, scan_variables: dict[str, str], tmp_path: Path
    ) -> None:
        clip, picture = media.clip(CLIP), tmp_path / "scores.png"
        answer = run_fleet(
            "scan", "--json", "--sample-rate", "5", "--plot", str(picture), str(clip), variables=scan_variables
        )
        assert answer.returncode == ExitCode.OK, answer.stderr
        assert len(verdicts(answer)[0].frames) == 10
        with Image.open(picture) as drawn:
            assert drawn.size == (1800, 720)
            # The right third shows the frame, which has hardly two neighbouring pixels alike.
            frame = np.asarray(drawn.convert("RGB"))[200:600, 1300:1700].astype(int)
        assert np.abs(np.diff(frame, axis=1)).mean() > 1

    def test_manipulated_fails_where_it_is_asked_to(self, media: MediaFolder, scan_variables: dict[str, str]) -> None:
        white = np.clip(photograph().astype(int) + 90, 0, 255).astype(np.uint8)
        still = str(media.write("bright.jpg", image_bytes(white, "JPEG")))
        found = run_fleet("scan", "--json", "--fail-on", "manipulated", still, variables=scan_variables)
        assert verdicts(found)[0].label is Label.MANIPULATED
        assert found.returncode == ExitCode.MANIPULATED

    def test_a_model_that_is_not_there_ends_with_a_line_and_no_verdict(
        self, media: MediaFolder, tmp_path: Path
    ) -> None:
        still = media.write("still.jpg", image_bytes(photograph(), "JPEG"))
        offline = {"FLEET_MODELS__CACHE": str(tmp_path / "none"), "FLEET_MODELS__OFFLINE": "true"}
        answer = run_fleet("scan", str(still), variables=offline)
        assert (answer.returncode, answer.stdout) == (ExitCode.MODELS_INVALID, "")
        assert answer.stderr.startswith("fleet: centerface: ")


def test_a_head_is_not_fitted_without_data(tmp_path: Path) -> None:
    answer = run_fleet("models", "fit-head", "--data", str(tmp_path))
    assert answer.returncode == ExitCode.USAGE
    assert answer.stderr.startswith("fleet: the data is not there: ")


class TestTopicsAndTables:
    def test_topics_are_created_once_and_listed(self, server_environment: dict[str, str]) -> None:
        prefix = f"t{uuid4().hex[:10]}."
        variables = {**server_environment, "FLEET_KAFKA__TOPIC_PREFIX": prefix}
        names = [prefix + topic.name for topic in all_topics()]
        try:
            first = run_fleet("topics", "create", variables=variables)
            assert first.returncode == ExitCode.OK, first.stderr
            assert f"{len(names)} created, 0 grown, 0 as they were" in first.stdout
            assert (
                f"0 created, 0 grown, {len(names)} as they were"
                in run_fleet("topics", "create", variables=variables).stdout
            )
            listed = run_fleet("topics", "list", variables=variables).stdout
            assert all(name in listed for name in names)
            assert "missing" not in listed
        finally:
            admin = AdminClient({"bootstrap.servers": server_environment["FLEET_KAFKA__BOOTSTRAP_SERVERS"]})
            for future in admin.delete_topics(names).values():
                future.result()

    def test_a_database_is_migrated_once(self, server_environment: dict[str, str], fleet: Fleet) -> None:
        server, name = server_environment["FLEET_POSTGRES__URL"], f"{fleet.name}_empty"
        with psycopg.connect(server, autocommit=True) as database:
            database.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            variables = {"FLEET_POSTGRES__URL": database_url(server, name)}
            assert "applied 0001_results" in run_fleet("migrate", variables=variables).stdout
            assert "nothing to do" in run_fleet("migrate", variables=variables).stdout
        finally:
            with psycopg.connect(server, autocommit=True) as database:
                database.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class TestSubmit:
    def test_uploads_are_followed_to_their_verdicts(self, scoring_fleet: Fleet, media: MediaFolder) -> None:
        clip = media.clip(CLIP)
        broken = media.write("broken.jpg", image_bytes(photograph(), "JPEG")[:300])
        with scoring_fleet.running("uploads", "segments"):
            answer = run_fleet("submit", "--wait", "--json", str(clip), variables=scoring_fleet.environment)
            assert answer.returncode == ExitCode.OK, answer.stderr
            (verdict,) = verdicts(answer)
            assert (verdict.outcome, verdict.content_type) == (Outcome.SCORED, "video")
            both = run_fleet(
                "submit", "--wait", "--json", "--priority", "bulk", str(clip), str(broken),
                variables=scoring_fleet.environment,
            )  # fmt: skip
        assert both.returncode == ExitCode.MEDIA_UNREAD, both.stderr
        again, unread = verdicts(both)
        assert again.reused_from == verdict.verdict_id
        assert unread.outcome is Outcome.UNDECODABLE
        assert "inconclusive" in both.stderr

    def test_without_wait_it_says_what_was_published(self, fleet: Fleet, media: MediaFolder) -> None:
        still = media.write("still.jpg", image_bytes(photograph(), "JPEG"))
        answer = run_fleet("submit", "--json", "--content-id", "mine", str(still), variables=fleet.environment)
        assert answer.returncode == ExitCode.OK, answer.stderr
        told = json.loads(answer.stdout)
        (message,) = fleet.await_messages("media.uploads", 1)
        published = json.loads(message.value() or b"")
        assert told["content_id"] == published["content_id"] == "mine"
        assert told["uri"] == published["media"]["uri"] == still.as_uri()

    def test_without_agents_the_time_runs_out(self, fleet: Fleet, media: MediaFolder) -> None:
        still = media.write("still.jpg", image_bytes(photograph(), "JPEG"))
        answer = run_fleet("submit", "--wait", "--timeout", "3", str(still), variables=fleet.environment)
        assert answer.returncode == ExitCode.TIMED_OUT
        assert "(published)" in answer.stderr

    def test_a_broker_without_the_topics_is_told_what_to_do(
        self, server_environment: dict[str, str], media: MediaFolder
    ) -> None:
        still = media.write("still.jpg", image_bytes(photograph(), "JPEG"))
        elsewhere = {**server_environment, "FLEET_KAFKA__TOPIC_PREFIX": "nowhere."}
        answer = run_fleet("submit", "--wait", str(still), variables=elsewhere)
        assert answer.returncode == ExitCode.UNAVAILABLE
        assert "run `fleet topics create`" in answer.stderr

    def test_a_broker_that_is_away_is_said_in_one_line(self, media: MediaFolder) -> None:
        still = media.write("still.jpg", image_bytes(photograph(), "JPEG"))
        (port,) = choose_ports(1)
        for wait in ([], ["--wait"]):
            answer = run_fleet(
                "submit", *wait, "--timeout", "2", str(still),
                variables={"FLEET_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"},
            )  # fmt: skip
            assert answer.returncode == ExitCode.UNAVAILABLE
            assert answer.stderr.startswith("fleet: kafka is away: ")
            assert answer.stderr.count("\n") == 1


def healthy(port: int) -> bool:
    with suppress(OSError):
        connection = HTTPConnection("127.0.0.1", port, timeout=1)
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    return False


class TestRun:
    def supervised(self, fleet: Fleet, command: Command, port: int, workers: int) -> None:
        for number in range(workers):
            fleet.await_that(
                lambda: healthy(port + number) or command.process.poll() is not None,  # noqa: B023
                lambda: f"worker {number} to be ready; it said {command.said}",  # noqa: B023
            )
            assert command.process.poll() is None, command.said
        command.note_family()

    def test_one_agent_drains_at_sigterm(self, fleet: Fleet, tmp_path: Path) -> None:
        (port,) = choose_ports(1)
        variables = {**fleet.environment, "FLEET_RUNTIME__HEALTH_PORT": str(port)}
        with started_fleet(tmp_path / "log", "run", "sink", variables=variables) as command:
            self.supervised(fleet, command, port, 1)
            command.process.send_signal(signal.SIGTERM)
            assert command.end() == ExitCode.OK, command.said
            assert "draining" in command.said

    def test_several_agents_drain_at_ctrl_c(self, fleet: Fleet, tmp_path: Path) -> None:
        port = choose_ports(1)[0]
        variables = {**fleet.environment, "FLEET_RUNTIME__HEALTH_PORT": str(port)}
        with started_fleet(tmp_path / "log", "run", "sink", "sink", variables=variables) as command:
            self.supervised(fleet, command, port, 2)
            command.process.send_signal(signal.SIGINT)
            assert command.end() == ExitCode.OK, command.said
            assert command.left_behind() == ()
        assert "sink.2 | " in command.said
        assert command.said.count("SIGTERM: draining") == 2

    def test_when_one_dies_the_others_are_drained_and_the_exit_code_says_so(self, fleet: Fleet, tmp_path: Path) -> None:
        port = choose_ports(1)[0]
        variables = {**fleet.environment, "FLEET_RUNTIME__HEALTH_PORT": str(port)}
        with started_fleet(tmp_path / "log", "run", "sink", "sink", variables=variables) as command:
            self.supervised(fleet, command, port, 2)
            os.kill(command.descendant("agents.cli run sink"), signal.SIGKILL)
            assert command.end() == ExitCode.AGENT_STOPPED, command.said
            assert command.left_behind() == ()
        assert "was ended by SIGKILL; the other agents were drained" in command.said

    def test_an_agent_that_cannot_start_hands_its_exit_code_on(self, fleet: Fleet, tmp_path: Path) -> None:
        none = {"FLEET_MODELS__CACHE": str(tmp_path / "none"), "FLEET_MODELS__OFFLINE": "true"}
        answer = run_fleet("run", "segments", "sink", variables={**fleet.environment, **none})
        assert answer.returncode == ExitCode.MODELS_INVALID, answer.stderr
        assert "segments ended with exit code 5" in answer.stderr

    def test_of_workers_on_devices_one_that_is_killed_comes_back_and_the_other_goes_on(
        self, scoring_fleet: Fleet, media: MediaFolder, tmp_path: Path
    ) -> None:
        fleet, ports = scoring_fleet, choose_ports(1)
        variables = {
            **fleet.environment,
            "FLEET_RUNTIME__HEALTH_PORT": str(ports[0]),
            "FLEET_KAFKA__SESSION_TIMEOUT_S": "6",  # so that its partitions are soon another's
        }
        log = tmp_path / "log"
        with (
            fleet.running("uploads"),
            started_fleet(log, "run", "segments", "--devices", "cpu:2", variables=variables) as command,
        ):
            self.supervised(fleet, command, ports[0], 2)
            first, second = sorted(command.descendants("agents.cli run segments"))
            os.kill(first, signal.SIGKILL)
            command.await_said("was ended by SIGKILL; next start in 1 s")
            fleet.publish(catalogue.UPLOADS, [fleet.upload(media.clip(CLIP), "while it is away")])
            fleet.await_verdicts(1)
            self.supervised(fleet, command, ports[0], 2)
            assert second in command.descendants("agents.cli run segments")
            assert len(command.descendants("agents.cli run segments")) == 2
            still = media.write("still.jpg", image_bytes(photograph(), "JPEG"))
            fleet.publish(catalogue.UPLOADS, [fleet.upload(still, "when it is back")])
            found = fleet.await_verdicts(2)
            assert {verdict.outcome for verdict in found.values()} == {Outcome.SCORED}
            command.process.send_signal(signal.SIGINT)
            assert command.end() == ExitCode.OK, command.said
            assert command.left_behind() == ()
        assert command.said.count("SIGTERM: draining") == 2

    def test_one_worker_on_a_device_is_supervised_too_and_drains_at_sigterm(self, fleet: Fleet, tmp_path: Path) -> None:
        (port,) = choose_ports(1)
        variables = {**fleet.environment, "FLEET_RUNTIME__HEALTH_PORT": str(port), "CUDA_VISIBLE_DEVICES": ""}
        with started_fleet(tmp_path / "log", "run", "segments", "--devices", "auto", variables=variables) as command:
            self.supervised(fleet, command, port, 1)
            assert len(command.descendants("agents.cli run segments")) == 1
            command.process.send_signal(signal.SIGTERM)
            assert command.end() == ExitCode.OK, command.said
            assert command.left_behind() == ()
        assert command.said.startswith("on the CPU, because ")
        assert "segments@cpu | " in command.said

    def test_workers_on_devices_that_can_never_start_are_not_started_again(self, fleet: Fleet, tmp_path: Path) -> None:
        none = {"FLEET_MODELS__CACHE": str(tmp_path / "none"), "FLEET_MODELS__OFFLINE": "true"}
        answer = run_fleet("run", "segments", "sink", "--devices", "cpu:2", variables={**fleet.environment, **none})
        assert answer.returncode == ExitCode.MODELS_INVALID, answer.stderr
        assert "ended with exit code 5; the other agents were drained" in answer.stderr
        assert "next start" not in answer.stderr

    def test_agents_do_not_outlive_a_supervisor_that_is_killed(self, fleet: Fleet, tmp_path: Path) -> None:
        port = choose_ports(1)[0]
        variables = {**fleet.environment, "FLEET_RUNTIME__HEALTH_PORT": str(port)}
        with started_fleet(tmp_path / "log", "run", "sink", "sink", variables=variables) as command:
            self.supervised(fleet, command, port, 2)
            assert command.family
            command.process.kill()
            assert command.left_behind(within_s=20.0) == ()


class TestUp:
    def test_a_stack_serves_until_ctrl_c_and_leaves_nothing(self, tmp_path: Path) -> None:
        with started_fleet(tmp_path / "log", "up") as command:
            command.await_said("Ctrl-C ends it.")
            command.note_family()
            exported = dict(
                line.removeprefix("export ").split("=", 1)
                for line in command.said.splitlines()
                if line.startswith("export FLEET_")
            )
            assert len(exported) == 4
            listed = run_fleet("topics", "list", variables=exported)
            assert "missing" not in listed.stdout
            assert "nothing to do" in run_fleet("migrate", variables=exported).stdout
            folder = Path(command.said.partition("data and logs in ")[2].partition("\n")[0])
            assert folder.is_dir()
            command.process.send_signal(signal.SIGINT)
            assert command.end() == ExitCode.OK, command.said
            assert command.left_behind() == ()
            assert not folder.exists()

    def test_what_a_url_was_given_of_is_not_started(self, server_environment: dict[str, str], tmp_path: Path) -> None:
        given = {"FLEET_POSTGRES__URL": server_environment["FLEET_POSTGRES__URL"]}
        with started_fleet(tmp_path / "log", "up", variables=given) as command:
            command.await_said("Ctrl-C ends it.")
            assert "broker (process" in command.said
            assert "postgres (process" not in command.said
            command.process.send_signal(signal.SIGTERM)
            assert command.end() == ExitCode.OK, command.said
