"""The command line, `fleet`. Nothing heavy is imported before a command needs it."""


def main() -> None:
    """Run the command that the arguments name, and exit with its code (`agents.cli.exits`)."""
    from agents.cli.app import app  # noqa: PLC0415  (importing the package alone costs nothing)

    app()
