import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.assembly import AGENTS as BUILDERS, SERVICES
from agents.cli.app import FailOn, Lane, Level, app
from agents.cli.exits import ExitCode
from agents.cli.run import AGENTS
from schemas.media import DetectionLevel, Priority
from schemas.verdict import Label

COMMANDS = (
    ("demo",),
    ("scan",),
    ("submit",),
    ("up",),
    ("run",),
    ("migrate",),
    ("topics", "create"),
    ("topics", "list"),
    ("topics", "describe"),
    ("models", "list"),
    ("models", "pull"),
    ("models", "verify"),
    ("models", "import"),
    ("models", "train"),
    ("models", "export"),
    ("models", "fit-head"),
    ("models", "fit-fusion"),
    ("models", "blend"),
    ("models", "scores"),
    ("models", "cascade"),
    ("models", "evaluate"),
    ("models", "card"),
    ("models", "measure-faces"),
    ("policies", "list"),
    ("policies", "show"),
)
HEAVY = ("av", "confluent_kafka", "cv2", "faust", "numpy", "onnxruntime", "psycopg", "pydantic", "redis")


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Runs commands with settings of no environment but the test's."""
    monkeypatch.setenv("COLUMNS", "100")
    return CliRunner()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_a_command_has_an_example_of_it(cli: CliRunner, command: tuple[str, ...]) -> None:
    shown = cli.invoke(app, [*command, "--help"])
    assert shown.exit_code == ExitCode.OK
    assert f"fleet {' '.join(command)}" in shown.output.partition("Example:")[2]


def test_the_help_lists_every_command_and_every_exit_code(cli: CliRunner) -> None:
    shown = cli.invoke(app, ["--help"])
    assert shown.exit_code == ExitCode.OK
    for command in COMMANDS:
        assert command[0] in shown.output
    for code in ExitCode:
        assert f"{code.value:>3} {code.meaning}" in shown.output


def test_the_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from agents.cli.app import app; "
        "CliRunner().invoke(app, ['--help']); print(*sorted(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not set(HEAVY) & set(loaded)


def test_the_command_line_knows_the_levels_lanes_labels_and_agents_of_the_fleet() -> None:
    assert [*Level] == [*DetectionLevel]
    assert [*Lane] == [*Priority]
    assert FailOn.MANIPULATED in {*Label}
    assert set(AGENTS) == {*BUILDERS, *SERVICES}


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan", "no-such-file.mp4"],
        ["scan"],
        ["submit", "no-such-file.mp4"],
        ["submit", "a", "b", "--content-id", "one"],
        ["run", "uploads", "nobody"],
        ["run", "sink", "--devices", "auto"],
        ["run", "segments", "segments", "--devices", "auto"],
        ["run", "segments", "--devices", "gpu0"],
        ["topics", "describe", "no.such.topic"],
        ["migrate", "--no-such-option"],
        ["no-such-command"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_ends_with_2(cli: CliRunner, arguments: list[str]) -> None:
    assert cli.invoke(app, arguments).exit_code == ExitCode.USAGE


def test_a_setting_that_cannot_be_is_named_in_one_line(cli: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_KAFKA__NO_SUCH_KEY", "1")
    ended = cli.invoke(app, ["migrate"])
    assert ended.exit_code == ExitCode.SETTINGS_INVALID
    assert ended.stderr.startswith("fleet: kafka.no_such_key")
    assert "Traceback" not in ended.stderr


def test_debug_shows_the_traceback_too(cli: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_KAFKA__NO_SUCH_KEY", "1")
    ended = cli.invoke(app, ["--debug", "migrate"])
    assert ended.exit_code == ExitCode.SETTINGS_INVALID
    assert "Traceback" in ended.stderr


def test_a_server_that_is_away_is_said_in_one_line_without_its_password(
    cli: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_POSTGRES__URL", "postgresql://fleet:s3cret@127.0.0.1:9/fleet")
    ended = cli.invoke(app, ["migrate"])
    assert ended.exit_code == ExitCode.UNAVAILABLE
    assert ended.stderr.count("\n") == 1
    assert "s3cret" not in ended.output


def test_a_missing_model_is_shown_and_fails_the_verification(
    cli: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLEET_MODELS__CACHE", str(tmp_path))
    monkeypatch.setenv("FLEET_MODELS__OFFLINE", "true")
    listed = cli.invoke(app, ["models", "list"])
    assert listed.exit_code == ExitCode.OK
    assert "centerface" in listed.output
    assert "no" in listed.output.split("centerface")[1].split("\n")[0]
    assert cli.invoke(app, ["models", "verify"]).exit_code == ExitCode.MODELS_INVALID
    assert cli.invoke(app, ["models", "pull"]).exit_code == ExitCode.SETTINGS_INVALID


def test_a_topic_is_described_without_a_broker(cli: CliRunner) -> None:
    shown = cli.invoke(app, ["topics", "describe", "media.uploads"])
    assert shown.exit_code == ExitCode.OK
    assert "media-upload/1" in shown.output
    assert "media.uploads.dlq" in shown.output
