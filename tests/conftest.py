"""The servers of the tests: started once a run, by the process that every worker outlives."""

import os
from pathlib import Path

import pytest

from agents.local import EmbeddedStack, apache_available

DATA = Path(os.environ.get("FLEET_DATA") or Path(__file__).parents[2] / "shared" / "data")

_STACK = pytest.StashKey[EmbeddedStack]()
_ENVIRONMENT = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--broker", choices=("embedded", "apache"), default="embedded", help="the broker of the pipeline tests"
    )


def _wants_servers(config: pytest.Config) -> bool:
    pipeline = Path(__file__).parent / "pipeline"
    wanted = [Path(str(argument).partition("::")[0]).resolve() for argument in config.args]
    return any(path == pipeline or path in pipeline.parents or pipeline in path.parents for path in wanted)


def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    if hasattr(config, "workerinput"):
        environment: dict[str, str] = config.workerinput["environment"]
        config.stash[_ENVIRONMENT] = environment
        return
    config.stash[_ENVIRONMENT] = {}
    if not _wants_servers(config) or config.option.collectonly:
        return
    broker = config.getoption("--broker")
    if broker == "apache" and (reason := apache_available()) is not None:
        raise pytest.UsageError(f"--broker apache: {reason}")
    stack = EmbeddedStack(broker=broker)
    config.stash[_ENVIRONMENT] = stack.start().environment()
    config.stash[_STACK] = stack


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--broker") == "embedded":
        reason = "only a real Kafka does this: --broker apache"
        for item in items:
            if item.get_closest_marker("real_kafka"):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Hand the servers' URLs to a worker of pytest-xdist."""
    node.workerinput["environment"] = node.config.stash[_ENVIRONMENT]  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    stack = config.stash.get(_STACK, None)
    if stack is not None:
        stack.stop()


@pytest.fixture(scope="session")
def server_environment(pytestconfig: pytest.Config) -> dict[str, str]:
    """`FLEET_*` of the servers of this run."""
    return pytestconfig.stash[_ENVIRONMENT]


@pytest.fixture(scope="session")
def data() -> Path:
    """The shared data folder."""
    if not DATA.is_dir():
        pytest.skip(f"no shared data at {DATA}; FLEET_DATA says where it is")
    return DATA
