"""What `fleet` can do: every command with its options and its help. The work is done in a module of its own name."""

# ruff: noqa: PLC0415
# A command imports its module when it is called: `fleet --help` answers at once.

from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from agents.cli.exits import ExitCode
from agents.cli.group import FleetGroup
from agents.cli.making_app import making_app
from agents.cli.measuring_app import measuring_app
from agents.cli.models_app import models_app
from agents.cli.policies_app import policies_app
from agents.cli.streams_app import streams_app

_EXIT_CODES = "\n".join(("[bold]Exit codes[/]", *(f"[cyan]{code.value:>3}[/] {code.meaning}" for code in ExitCode)))

app = typer.Typer(
    name="fleet",
    cls=FleetGroup,
    help="Tells whether faces in uploaded media were manipulated: a fleet of Kafka consumers, and its tools.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
topics_app = typer.Typer(help="Create and look at the topics of the catalogue.", no_args_is_help=True)
app.add_typer(topics_app, name="topics", rich_help_panel="Operate")
models_app.add_typer(making_app)
models_app.add_typer(measuring_app)
app.add_typer(models_app, name="models", rich_help_panel="Operate")
app.add_typer(policies_app, name="policies", rich_help_panel="Operate")
app.add_typer(streams_app, name="streams", rich_help_panel="Operate")


class Level(StrEnum):
    """`schemas.media.DetectionLevel`, without importing it."""

    BASIC = "basic"
    STANDARD = "standard"
    ADVANCED = "advanced"


class Lane(StrEnum):
    """`schemas.media.Priority`, without importing it."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class FailOn(StrEnum):
    """A label that makes a command fail."""

    MANIPULATED = "manipulated"


LevelOption = Annotated[Level, typer.Option(help="How thoroughly to look.")]
SampleRateOption = Annotated[
    float, typer.Option(min=0.01, max=60.0, help="Frames a second of video that are looked at.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON in place of tables: one verdict a line.")]
FailOnOption = Annotated[
    FailOn | None, typer.Option(help="Exit with 7 if any verdict has this label.", show_default=False)
]
TimelineOption = Annotated[
    bool,
    typer.Option("--detailed-timeline", help="Keep every frame that was looked at, not only the most suspicious."),
]


@app.callback()
def fleet(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error, too.")] = False,
) -> None:
    """Take the options that go before every command."""


@app.command(rich_help_panel="Try")
def demo(
    keep: Annotated[
        Path | None,
        typer.Option(help="Copy media, verdicts and logs to this folder.", file_okay=False, show_default=False),
    ] = None,
    timeout: Annotated[float, typer.Option(min=1.0, help="Give up after so many seconds.")] = 120.0,
) -> None:
    """Run the whole way once, on this machine: four uploads in, four verdicts in Postgres.

    Starts broker, key-value store and database from wheels (each replaced by setting its FLEET_* URL), builds media
    from a photograph, publishes upload events, runs the agents, and shows the verdicts and the rows.

    Example: [cyan]fleet demo[/]
    """
    started = monotonic()
    from agents.cli.demo import demo as run_demo

    run_demo(keep, timeout, started)


@app.command(name="demo-live", rich_help_panel="Try")
def demo_live(
    keep: Annotated[
        Path | None,
        typer.Option(help="Copy clips and logs to this folder.", file_okay=False, show_default=False),
    ] = None,
    timeout: Annotated[float, typer.Option(min=1.0, help="Give up after so many seconds.")] = 120.0,
) -> None:
    """Block a manipulated live stream once, on this machine, and leave another one alone.

    Two publishers at one RTMP server (nginx with its RTMP module, from the system's packages): an untouched clip and
    one with the face re-blended. Both are pulled, scored and remembered; the manipulated one is alerted, denied,
    kicked, confirmed gone, and refused when it comes back.

    Example: [cyan]fleet demo-live[/]
    """
    started = monotonic()
    from agents.cli.demo import demo_live as run_demo

    run_demo(keep, timeout, started)


@app.command(rich_help_panel="Try")
def scan(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH…", exists=True, dir_okay=False, help="Files to judge.", show_default=False),
    ],
    level: LevelOption = Level.STANDARD,
    sample_rate: SampleRateOption = 1.0,
    detailed_timeline: TimelineOption = False,
    as_json: JsonOption = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw the scores over time to this PNG; of several files, to one PNG each, numbered.",
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    fail_on: FailOnOption = None,
) -> None:
    """Judge files directly, by the code that the agents run, with no Kafka, Redis or Postgres.

    Example: [cyan]fleet scan clip.mp4 --sample-rate 5 --plot scores.png[/]
    """
    from agents.cli.scan import ScanOptions, scan as scan_files

    options = ScanOptions(level.value, sample_rate, detailed_timeline, as_json, plot, fail_on is not None)
    scan_files(paths, options)


@app.command(rich_help_panel="Try")
def submit(
    media: Annotated[
        list[str], typer.Argument(metavar="PATH|URL…", help="Media to publish upload events of.", show_default=False)
    ],
    wait: Annotated[bool, typer.Option("--wait", help="Follow the uploads until their verdicts are there.")] = False,
    level: LevelOption = Level.STANDARD,
    priority: Annotated[Lane, typer.Option(help="The lane to take.")] = Lane.INTERACTIVE,
    content_id: Annotated[
        str | None,
        typer.Option(help="The platform's id of the content (one PATH only).", show_default="made from the name"),
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose policies apply.")] = "default",
    uploader_id: Annotated[str, typer.Option(help="Who uploaded it.")] = "fleet-submit",
    sample_rate: SampleRateOption = 1.0,
    detailed_timeline: TimelineOption = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for the broker, and with --wait for the verdicts.")
    ] = 120.0,
    as_json: JsonOption = False,
    fail_on: FailOnOption = None,
) -> None:
    """Publish an upload event for each PATH or URL, as a content pipeline would.

    With [cyan]--wait[/] it follows progress and verdict topics from before it publishes, so nothing is missed. The
    agents must be allowed to read the place: [cyan]FLEET_MEDIA__ALLOWED_ROOTS[/] for files.

    Example: [cyan]fleet submit clip.mp4 https://media.example/1.jpg --wait[/]
    """
    from agents.cli.submit import SubmitOptions, submit as submit_media

    options = SubmitOptions(
        level=level.value,
        priority=priority.value,
        content_id=content_id,
        tenant=tenant,
        uploader_id=uploader_id,
        sample_rate_fps=sample_rate,
        detailed_timeline=detailed_timeline,
        timeout_s=timeout,
        wait=wait,
        as_json=as_json,
        fail_on_manipulated=fail_on is not None,
    )
    submit_media(media, options)


@app.command(rich_help_panel="Operate")
def up() -> None:
    """Run broker, key-value store and database from wheels in the foreground, until Ctrl-C.

    Topics are created and tables migrated. The URLs to export are printed to standard output: they hold throwaway
    passwords that end with the servers. What a FLEET_* variable names already is used and not started.

    Example: [cyan]fleet up > fleet.env &[/] … [cyan]source fleet.env && fleet run all[/]
    """
    from agents.cli.up import up as run_stack

    run_stack()


@app.command(rich_help_panel="Operate")
def run(
    agents: Annotated[
        list[str],
        typer.Argument(metavar="AGENT…", help="uploads, segments, sink, streams, or all.", show_default=False),
    ],
    devices: Annotated[
        str,
        typer.Option(
            metavar="auto|LIST",
            help="A worker of segments for each device: auto, or 0,1 or 0:1 (MIG slice) or GPU-… or MIG-… or cpu:2.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Run agents until SIGTERM or Ctrl-C: one in this process, several in a supervised process each.

    A name given twice makes two workers. When an agent ends by itself, the others are drained, and the exit code is
    that agent's. With a fixed FLEET_RUNTIME__HEALTH_PORT the agents take that port and the ones after it.

    With [cyan]--devices[/] each GPU or MIG slice gets a worker of its own; one that ends is started again while the
    others go on, and only when it keeps failing are they drained. [cyan]auto[/] takes every one there is, and the CPU
    where there is none.

    Example: [cyan]fleet run uploads segments segments sink[/] … [cyan]fleet run all --devices auto[/]
    """
    from agents.cli.run import run as run_agents

    run_agents(agents, devices)


@app.command(rich_help_panel="Operate")
def top(
    workers: Annotated[
        list[str],
        typer.Argument(metavar="URL…", help="Health endpoints, such as http://127.0.0.1:9100.", show_default=False),
    ],
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show one interval and end.")] = False,
) -> None:
    """Show what workers do at this moment: stages, queues, models, and which stage is the bottleneck, in words.

    A worker prints its address when it starts; FLEET_RUNTIME__HEALTH_PORT fixes it.

    Example: [cyan]fleet top http://127.0.0.1:9100 http://127.0.0.1:9101[/]
    """
    from agents.cli.top import top as show

    show(workers, interval, once)


@app.command(rich_help_panel="Operate")
def migrate() -> None:
    """Bring the database to the newest schema. Several may run it at once; a second run does nothing.

    Example: [cyan]FLEET_POSTGRES__URL=postgresql://… fleet migrate[/]
    """
    from agents.cli.migrate import migrate as migrate_database

    migrate_database()


@topics_app.command("create")
def create_topics() -> None:
    """Create missing topics, add partitions where the catalogue grew, and report what differs.

    Data is never touched and running it again changes nothing.

    Example: [cyan]fleet topics create[/]
    """
    from agents.cli.topics import create

    create()


@topics_app.command("list")
def list_topics() -> None:
    """Show the topics of the catalogue, and which of them the broker has.

    Example: [cyan]fleet topics list[/]
    """
    from agents.cli.topics import list_all

    list_all()


@topics_app.command("describe")
def describe_topic(
    name: Annotated[str, typer.Argument(help="A topic of the catalogue.", show_default=False)],
) -> None:
    """Show what a topic carries, who writes and reads it, and how the broker keeps it. Asks no broker.

    Example: [cyan]fleet topics describe media.uploads[/]
    """
    from agents.cli.topics import describe

    describe(name)
