"""`fleet up`: the embedded stack in the foreground."""

import shlex
from time import sleep

from agents.cli.console import ERR, OUT, note
from agents.cli.signals import Terminated
from agents.preparation import embedded_stack, prepare, settings_at
from agents.report.wording import counted
from agents.settings import load_settings

_NAP_S = 0.5
"""How late a signal is noticed at most, seconds."""


def up() -> None:
    """Run the stack until a signal comes; print what to export.

    Raises:
        LocalStackError: a server did not start.
        SettingsInvalid, TopicError, MigrationFailed, Unavailable: topics or tables could not be prepared.
    """
    with ERR.status("starting broker, key-value store and database"):
        stack = embedded_stack(load_settings())
        stack.start()
    try:
        with ERR.status("creating topics and tables"):
            prepared = prepare(settings_at(stack.urls))
        servers = ", ".join(f"{server.name} (process {server.pid})" for server in stack.servers)
        note(f"running: {servers or 'nothing, every URL was given'}; data and logs in {stack.folder}")
        topics, migrations = len(prepared.topics.created), len(prepared.migrations)
        note(f"{counted(topics, 'topic')} created, {counted(migrations, 'migration')} applied")
        note("The lines below hold passwords of servers that end with this command, data included.")
        for name, value in stack.urls.environment().items():
            OUT.print(f"export {name}={shlex.quote(value)}", markup=False, soft_wrap=True)
        OUT.file.flush()
        note("Ctrl-C ends it.")
        _wait()
    finally:
        with ERR.status("stopping"):
            stack.stop()


def _wait() -> None:
    """Sleep until SIGINT or SIGTERM: here, they are the ordinary end."""
    try:
        # Not `signal.pause`: a signal that comes just before it is noted and then waited for in vain.
        while True:
            sleep(_NAP_S)
    except (KeyboardInterrupt, Terminated):
        note("stopping")
