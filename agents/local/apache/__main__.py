"""`python -m agents.local.apache fetch|check`: make real Apache Kafka ready to run, or ask whether it can be.

Exit status: 0 when it is ready (fetch) or can be run (check), 1 when not, for the reason printed, 2 for a wrong
command line.
"""

import argparse
import sys

from agents.local.apache.jars import KAFKA_VERSION, apache_available, fetch
from agents.local.exceptions import LocalStackError


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m agents.local.apache", description="Real Apache Kafka.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="resolve Kafka's jars with Maven, check them, keep them in the cache")
    commands.add_parser("check", help="tell whether Kafka can be run here, and if not, why")
    if parser.parse_args().command == "check":
        reason = apache_available()
        _say(f"Apache Kafka {KAFKA_VERSION} can{'not' if reason else ''} be run here{f': {reason}' if reason else ''}")
        return 1 if reason else 0
    try:
        fetch(_say)
    except LocalStackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
