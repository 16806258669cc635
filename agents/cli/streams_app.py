"""`fleet streams …`: every command with its options and its help. The work is done in `agents.cli.streams`."""

# ruff: noqa: PLC0415
# A command imports its module when it is called: `fleet --help` answers at once.

from typing import Annotated

import typer

streams_app = typer.Typer(help="Start, change, stop and look at live streams.", no_args_is_help=True)

StreamArgument = Annotated[str, typer.Argument(metavar="STREAM", help="The stream's id.", show_default=False)]
RateOption = Annotated[
    float | None, typer.Option(min=0.01, max=60.0, help="Frames a second that are looked at.", show_default=False)
]
EveryNthOption = Annotated[
    int | None, typer.Option(min=1, max=10_000, help="Look at every n-th frame instead.", show_default=False)
]
PolicyOption = Annotated[str | None, typer.Option(help="A policy by name.", show_default="the tenant's")]


@streams_app.command("list")
def list_streams(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: one stream a line.")] = False,
    ended: Annotated[bool, typer.Option("--ended", help="Also those that ended.")] = False,
) -> None:
    """Show how pulling each stream goes, by the topic of their states.

    Example: [cyan]fleet streams list[/]
    """
    from agents.cli.streams import list_all

    list_all(as_json=as_json, ended=ended)


@streams_app.command("start")
def start_stream(
    stream: StreamArgument,
    url: Annotated[str, typer.Argument(help="Where to pull from: rtmp, rtmps, rtsp, https (HLS).", show_default=False)],
    tenant: Annotated[str, typer.Option(help="Whose policies apply.")] = "default",
    sample_rate: RateOption = None,
    every_nth: EveryNthOption = None,
    policy: PolicyOption = None,
) -> None:
    """Ask the fleet to watch a stream.

    Example: [cyan]fleet streams start show-1 rtmp://live.example/live/show-1 --sample-rate 5[/]
    """
    from agents.cli.streams import ask

    given = {"url": url, "tenant": tenant, "policy": policy}
    ask(stream, "start", given | {"sample_rate_fps": sample_rate, "frame_skip_interval": every_nth})


@streams_app.command("update")
def update_stream(
    stream: StreamArgument,
    url: Annotated[str | None, typer.Option(help="Pull from there instead.", show_default=False)] = None,
    sample_rate: RateOption = None,
    every_nth: EveryNthOption = None,
    policy: PolicyOption = None,
) -> None:
    """Change what is given, and leave the rest as it is.

    Example: [cyan]fleet streams update show-1 --sample-rate 2[/]
    """
    from agents.cli.streams import ask

    given = {"url": url, "policy": policy, "sample_rate_fps": sample_rate, "frame_skip_interval": every_nth}
    ask(stream, "update", given)


@streams_app.command("stop")
def stop_stream(stream: StreamArgument) -> None:
    """Ask the fleet to watch a stream no more, whichever worker pulls it.

    Example: [cyan]fleet streams stop show-1[/]
    """
    from agents.cli.streams import ask

    ask(stream, "stop", {})
