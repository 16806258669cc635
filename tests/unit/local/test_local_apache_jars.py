import hashlib
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from agents.local import ApacheKafka, apache_available
from agents.local.apache import CLIENTS, KAFKA_VERSION, KafkaJarsError, Listener, MissingJavaError, jar_folder
from agents.local.apache.jars import checksums, faults
from agents.local.apache.listener import broker_properties

POM = Path(__file__).parents[3] / "tools" / "kafka" / "pom.xml"


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)


@pytest.fixture
def only_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "home" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))


def test_every_fault_of_a_jar_folder_is_found(tmp_path: Path) -> None:
    jar = b"PK"
    digest = hashlib.sha256(jar).hexdigest()
    for name in ("kept.jar", "changed.jar", "strange.jar"):
        (tmp_path / name).write_bytes(jar)
    expected = {"kept.jar": digest, "changed.jar": hashlib.sha256(b"").hexdigest(), "lost.jar": digest}
    assert faults(tmp_path, expected) == [
        "lost.jar is missing",
        "strange.jar does not belong there",
        "changed.jar has another SHA-256 than the committed one",
    ]
    assert faults(tmp_path / "nowhere", {"kept.jar": digest}) == ["kept.jar is missing"]


def test_pom_checksums_and_code_name_one_version_of_kafka() -> None:
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    dependencies = ET.parse(POM).getroot().findall("m:dependencies/m:dependency", space)
    versions = {
        str(dependency.findtext("m:artifactId", None, space)): dependency.findtext("m:version", None, space)
        for dependency in dependencies
    }
    assert versions["kafka_2.13"] == KAFKA_VERSION
    assert {f"{artifact}-{version}.jar" for artifact, version in versions.items()} <= checksums().keys()


def test_a_broker_without_its_jars_says_what_to_run(empty_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(KafkaJarsError, match="run `make kafka`"):
        ApacheKafka(tmp_path).start()


def test_a_checkout_without_checksums_is_named(tmp_path: Path) -> None:
    with pytest.raises(KafkaJarsError, match=r"jars\.sha256 is missing"):
        checksums(tmp_path)


def test_without_java_there_is_no_apache_kafka(no_programs: None, tmp_path: Path) -> None:
    reason = apache_available()
    assert reason is not None
    assert "there is no java on the path" in reason


def test_a_java_home_without_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    reason = apache_available()
    assert reason is not None
    assert f"JAVA_HOME={tmp_path}" in reason


def test_without_jars_and_maven_there_is_no_apache_kafka(only_java: None, empty_cache: Path) -> None:
    reason = apache_available()
    assert reason is not None
    assert "needs Maven" in reason


def test_fetching_without_maven_fails_with_the_reason(only_java: None, empty_cache: Path) -> None:
    fetched = subprocess.run(
        [sys.executable, "-m", "agents.local.apache", "fetch"], capture_output=True, text=True, check=False
    )
    assert fetched.returncode == 1
    assert "there is no Maven" in fetched.stderr
    assert not jar_folder().exists()


def test_checking_a_machine_without_java_says_why_in_one_line(no_programs: None) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "agents.local.apache", "check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 1
    assert checked.stdout.startswith(f"Apache Kafka {KAFKA_VERSION} cannot be run here: there is no java")
    assert checked.stdout.count("\n") == 1


def test_three_brokers_vote_and_keep_copies_while_listeners_bring_their_own_settings(tmp_path: Path) -> None:
    secured = Listener("SECURED", "SASL_SSL", {"sasl.enabled.mechanisms": "SCRAM-SHA-512"})
    properties = broker_properties(
        node_id=2, voters={1: 11, 2: 12, 3: 13}, listeners=[(CLIENTS, 21), (secured, 22)], data=tmp_path
    )
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:11,2@127.0.0.1:12,3@127.0.0.1:13"
    assert properties["listeners"] == ("CLIENTS://127.0.0.1:21,SECURED://127.0.0.1:22,CONTROLLER://127.0.0.1:12")
    assert properties["advertised.listeners"] == "CLIENTS://127.0.0.1:21,SECURED://127.0.0.1:22"
    assert properties["listener.name.secured.sasl.enabled.mechanisms"] == "SCRAM-SHA-512"
    assert properties["offsets.topic.replication.factor"] == "3"
    assert properties["transaction.state.log.min.isr"] == "2"


def test_one_broker_keeps_one_copy(tmp_path: Path) -> None:
    properties = broker_properties(node_id=1, voters={1: 11}, listeners=[(CLIENTS, 21)], data=tmp_path)
    assert properties["offsets.topic.replication.factor"] == "1"
    assert properties["transaction.state.log.min.isr"] == "1"


def test_a_java_that_is_missing_is_a_missing_program(no_programs: None, tmp_path: Path) -> None:
    if not jar_folder().exists():
        pytest.skip("Apache Kafka's jars are not in the cache (make kafka)")
    with pytest.raises(MissingJavaError, match="install Java 17"):
        ApacheKafka(tmp_path).start()
