"""`fleet policies …`: every command with its options and its help. The work is done in `agents.cli.policies`."""

# ruff: noqa: PLC0415
# A command imports its module when it is called: `fleet --help` answers at once.

from typing import Annotated

import typer

policies_app = typer.Typer(help="List and show the policies that decide.", no_args_is_help=True)


@policies_app.command("list")
def list_policies() -> None:
    """Show every policy, and who uses it by the settings.

    Example: [cyan]fleet policies list[/]
    """
    from agents.cli.policies import list_all

    list_all()


@policies_app.command("show")
def show_policy(
    name: Annotated[str, typer.Argument(metavar="NAME[/VERSION]", help="A policy.", show_default=False)],
) -> None:
    """Show the numbers of one policy: of a name the newest version.

    Example: [cyan]fleet policies show strict[/]
    """
    from agents.cli.policies import show

    show(name)
