"""What every part of the benchmark is given."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.servers import Servers

_Amount = TypeVar("_Amount")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the benchmark."""

    servers: Servers
    folder: Path
    quick: bool
    tell: Callable[[str], None]
    """Shows what is being measured."""

    def amount(self, full: _Amount, quick: _Amount) -> _Amount:
        """Return how much to do."""
        return quick if self.quick else full

    def room(self, name: str) -> Path:
        """Return a new folder."""
        folder = self.folder / name
        folder.mkdir()
        return folder
