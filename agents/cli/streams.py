"""`fleet streams`: commands to the topic of streams, and their states from theirs."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime

import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table

from agents.cli.console import ERR, OUT, complain
from agents.cli.exits import ExitCode
from agents.control.log import TopicLog
from agents.publishing import publish
from agents.settings import load_settings
from schemas.stream import StreamControl, StreamPhase, StreamState
from topics.catalogue import STREAM_STATES, STREAMS
from topics.serialisation import explain

_TIMEOUT_S = 10.0
"""How long the broker may take, seconds."""
_SILENT_S = 30.0
"""A state is repeated every ten seconds: after so long its worker is gone, seconds."""
_COLOURS: Mapping[StreamPhase, str] = {"connecting": "yellow", "live": "green", "stalled": "red", "ended": "dim"}


def ask(stream_id: str, command: str, given: Mapping[str, object]) -> None:
    """Publish a command.

    Args:
        stream_id: of which stream.
        command: `start`, `update` or `stop`.
        given: fields of `StreamControl`; those that are none are left out.

    Raises:
        typer.BadParameter: a value cannot be.
        SettingsInvalid: a setting cannot be.
        Unavailable: the broker is away.
    """
    fields = {name: value for name, value in given.items() if value is not None}
    try:
        control = StreamControl.model_validate(
            {"stream_id": stream_id, "command": command, "at": datetime.now(UTC), **fields}
        )
    except ValidationError as error:
        raise typer.BadParameter(explain(error)) from error
    kafka = load_settings().kafka
    with ERR.status(f"publishing to {kafka.bootstrap_servers}"):
        publish(kafka, STREAMS, [control], _TIMEOUT_S)
    OUT.print(f"asked to {command} {stream_id}", markup=False, soft_wrap=True)


def list_all(*, as_json: bool, ended: bool) -> None:
    """Show the last state of each stream.

    Raises:
        SettingsInvalid: a setting cannot be.
        typer.Exit: the broker did not give all states in time.
    """
    kafka = load_settings().kafka
    with closing(TopicLog(kafka, STREAM_STATES, StreamState)) as log, ERR.status(f"asking {kafka.bootstrap_servers}"):
        states, complete = log.read_all(_TIMEOUT_S)
    if not complete:
        complain(f"{kafka.bootstrap_servers} did not give all of {STREAM_STATES.name} within {_TIMEOUT_S:g} s")
        raise typer.Exit(ExitCode.UNAVAILABLE)
    last = {state.stream_id: state for state in sorted(states, key=lambda state: (state.lease, state.at))}
    shown = [state for _, state in sorted(last.items()) if ended or state.phase != "ended"]
    if as_json:
        OUT.file.writelines(state.model_dump_json() + "\n" for state in shown)
        OUT.file.flush()
    else:
        OUT.print(states_table(shown, datetime.now(UTC)))


def states_table(states: Sequence[StreamState], now: datetime) -> Table:
    """Return a table of states as they are at a moment."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("stream", "phase"):
        table.add_column(heading, no_wrap=True)
    for heading in ("in/s", "out/s", "dropped", "connections"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("video", "worker", "why"):
        table.add_column(heading)
    for state in states:
        age_s = (now - state.at).total_seconds()
        silent = state.phase != "ended" and age_s > _SILENT_S
        table.add_row(
            escape(state.stream_id),
            f"[red]silent for {age_s:.0f} s[/]" if silent else f"[{_COLOURS[state.phase]}]{state.phase}[/]",
            f"{state.received_fps:.1f}",
            f"{state.published_fps:.1f}",
            str(state.dropped),
            str(state.connections),
            f"{escape(state.codec)} {state.width}x{state.height}" if state.codec else "",
            escape(state.worker),
            escape(state.reason),
        )
    return table
