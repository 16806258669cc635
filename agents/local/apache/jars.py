"""Kafka's jars: resolved once by Maven, checked against committed checksums, kept in the user's cache.

The recipe is `tools/kafka`: a pinned `pom.xml`, and `jars.sha256` in the format of sha256sum(1).
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.local.apache.exceptions import KafkaJarsError, MavenError, MissingJavaError

KAFKA_VERSION = "4.1.1"

_RECIPE = Path(__file__).parents[3] / "tools" / "kafka"
_MAVEN_TIMEOUT_S = 900.0
_SHOWN_LINES = 20


def jar_folder() -> Path:
    """Return where the jars are kept, `$XDG_CACHE_HOME/deepfake-fleet/kafka-<version>/lib`."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "deepfake-fleet" / f"kafka-{KAFKA_VERSION}" / "lib"


def checksums(recipe: Path = _RECIPE) -> dict[str, str]:
    """Return the SHA-256 of each jar by its file name.

    Raises:
        KafkaJarsError: The list is missing; it is part of the repository, not of the wheel.
    """
    listing = recipe / "jars.sha256"
    if not listing.is_file():
        raise KafkaJarsError(f"{listing} is missing: Apache Kafka is resolved from a checkout of the repository")
    lines = (line.split() for line in listing.read_text().splitlines())
    return {name: digest for digest, name in lines}


def faults(folder: Path, expected: dict[str, str]) -> list[str]:
    """Return what is wrong with a folder of jars, one phrase per jar; empty when all is as expected."""
    present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    missing = [f"{name} is missing" for name in sorted(expected.keys() - present)]
    strange = [f"{name} does not belong there" for name in sorted(present - expected.keys())]
    wrong = [
        f"{name} has another SHA-256 than the committed one"
        for name in sorted(present & expected.keys())
        if _sha256(folder / name) != expected[name]
    ]
    return missing + strange + wrong


def verified_jars() -> Path:
    """Return the folder of jars after checking every one of them.

    Raises:
        KafkaJarsError: A jar is missing, strange or changed.
    """
    folder = jar_folder()
    found = faults(folder, checksums())
    if found:
        raise KafkaJarsError(f"Apache Kafka is not ready in {folder} ({_brief(found)}): run `make kafka`")
    return folder


def fetch(say: Callable[[str], None]) -> Path:
    """Have Maven resolve the jars unless they are all there and as committed; return their folder.

    Safe to run more than once at a time. Progress goes to `say`, one line at a time.

    Raises:
        MavenError: Maven is not there or failed.
        KafkaJarsError: What Maven resolved is not what was committed; the cache is left as it was.
    """
    folder, expected = jar_folder(), checksums()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent / "lock"):
        if not faults(folder, expected):
            say(f"Apache Kafka {KAFKA_VERSION}: {len(expected)} jars are in {folder}, checksums as committed")
            return folder
        say(f"Apache Kafka {KAFKA_VERSION}: resolving {len(expected)} jars with Maven")
        with tempfile.TemporaryDirectory(prefix="lib-", dir=folder.parent) as scratch:
            resolved = Path(scratch) / "lib"
            _resolve(resolved)
            found = faults(resolved, expected)
            if found:
                raise KafkaJarsError(f"Maven resolved other jars than those committed: {_brief(found)}")
            if folder.exists():
                folder.rename(Path(scratch) / "replaced")
            resolved.rename(folder)
    say(f"Apache Kafka {KAFKA_VERSION}: checksums as committed, kept in {folder}")
    return folder


def java() -> Path:
    """Return the Java program, of `$JAVA_HOME` or of the path.

    Raises:
        MissingJavaError: There is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if found is None:
        where = f"in JAVA_HOME={home}" if home else "on the path"
        raise MissingJavaError(f"there is no java {where}: install Java 17 or later to run Apache Kafka")
    return Path(found)


def apache_available() -> str | None:
    """Return why Apache Kafka cannot be run here; None when it can, if need be after `make kafka`."""
    try:
        java()
    except MissingJavaError as error:
        return str(error)
    try:
        verified_jars()
    except KafkaJarsError as error:
        if shutil.which("mvn") is None:
            return f"{error}, which needs Maven (mvn), and there is none on the path"
    return None


def _resolve(target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise MavenError("there is no Maven (mvn) on the path: install it to resolve Apache Kafka")
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={target}"]
    options = ["--batch-mode", "--no-transfer-progress", "--strict-checksums"]
    done = subprocess.run(  # noqa: S603 - a fixed command, no shell
        [maven, *options, "--file", str(_RECIPE / "pom.xml"), *goal],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_MAVEN_TIMEOUT_S,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-_SHOWN_LINES:])
        raise MavenError(f"Maven ended with status {done.returncode}; it ends with:\n{tail}")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _brief(found: list[str]) -> str:
    more = f", and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(found[:3]) + more


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
