"""`fleet topics`: the catalogue, and what the broker has of it."""

from datetime import timedelta

from rich.table import Table

from agents.cli.console import ERR, OUT
from agents.preparation import provision_topics, quiet_admin
from agents.settings import load_settings
from topics.catalogue import Topic, all_topics, topic_named
from topics.provisioning import states
from topics.serialisation import schema_header

_TIMEOUT_S = 10.0
"""How long a broker may take to answer a question, seconds."""


def create() -> None:
    """Provision the catalogue and say what was done.

    Raises:
        SettingsInvalid: a setting cannot be.
        ProvisioningFailed: the broker is away or refused.
    """
    kafka = load_settings().kafka
    with ERR.status(f"asking {kafka.bootstrap_servers}"):
        report = provision_topics(kafka)
    for name in report.created:
        OUT.print(f"[green]created[/]  {name}")
    for name in report.grown:
        OUT.print(f"[green]grown[/]    {name}")
    OUT.print(f"{len(report.created)} created, {len(report.grown)} grown, {len(report.unchanged)} as they were")
    for difference in report.differences:
        OUT.print(
            f"[yellow]differs[/]  {difference.topic}: {difference.setting} is {difference.found}, "
            f"the catalogue says {difference.wanted} (left as it is)"
        )


def list_all() -> None:
    """Show the catalogue beside what the broker has.

    Raises:
        SettingsInvalid: a setting cannot be.
        ProvisioningFailed: the broker is away.
    """
    kafka = load_settings().kafka
    with ERR.status(f"asking {kafka.bootstrap_servers}"):
        found = {state.name: state for state in states(quiet_admin(kafka), timeout_s=_TIMEOUT_S)}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("topic", "carries"):
        table.add_column(heading, no_wrap=True)
    for heading in ("partitions", "at broker", "kept"):
        table.add_column(heading, justify="right", no_wrap=True)
    for topic in all_topics():
        state = found.get(kafka.topic_prefix + topic.name)
        table.add_row(
            kafka.topic_prefix + topic.name,
            _carries(topic),
            str(topic.partitions),
            "[red]missing[/]" if state is None else str(state.partitions),
            _kept(topic.retention),
        )
    OUT.print(table)


def describe(name: str) -> None:
    """Show one topic of the catalogue.

    Raises:
        UnknownTopic: the catalogue has none of that name.
    """
    topic = topic_named(name)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    companions = ", ".join(companion.name for companion in topic.companions())
    rows = {
        "topic": f"[bold]{topic.name}[/]",
        "for": topic.summary,
        "key": topic.key,
        "carries": _carries(topic),
        "written by": topic.produced_by,
        "read by": ", ".join(topic.consumed_by),
        "partitions": str(topic.partitions),
        "beside it": companions or "nothing",
        **topic.configuration,
    }
    for label, value in rows.items():
        table.add_row(label, value)
    OUT.print(table)


def _carries(topic: Topic) -> str:
    return "bytes" if topic.schema is None else schema_header(topic.schema)


def _kept(retention: timedelta | None) -> str:
    if retention is None:
        return "for ever"
    if retention >= timedelta(days=1):
        return f"{retention.days} d"
    return f"{retention.total_seconds() / 60:.0f} min"
