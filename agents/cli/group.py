"""The root of the commands: what a command raises becomes one line and an exit code."""

import traceback

import typer
from typer.core import TyperGroup

from agents.cli.console import complain, note
from agents.cli.exits import ExitCode, exit_code
from agents.cli.signals import PutAwayOnSignals, Terminated


class FleetGroup(TyperGroup):
    """Runs a command; its typed errors end as one red line, the traceback only with `--debug`."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # of what typer hands over
        """Run the command that was asked for."""
        with PutAwayOnSignals():
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt as error:
                note("interrupted")
                raise typer.Exit(ExitCode.INTERRUPTED) from error
            except Terminated as error:
                note("terminated")
                raise typer.Exit(ExitCode.TERMINATED) from error
            except Exception as error:
                code = exit_code(error)
                if code is None:
                    raise
                if ctx.params.get("debug"):
                    traceback.print_exception(error)
                complain(str(error))
                raise typer.Exit(code) from error
