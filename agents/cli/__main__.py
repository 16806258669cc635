"""`python -m agents.cli`: the same as `fleet`, also where the script is not on the path."""

from agents.cli import main

main()
