"""What every part of the benchmark is given."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.servers import Servers
from models.inference.provider_options import CPU

_Amount = TypeVar("_Amount")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the benchmark."""

    folder: Path
    quick: bool
    tell: Callable[[str], None]
    """Shows what is being measured."""
    providers: tuple[str, ...] = (CPU,)
    """What inference is measured on."""
    started: Servers | None = None
    """Where a part needs them."""

    @property
    def servers(self) -> Servers:
        """Broker, key-value store and database.

        Raises:
            RuntimeError: the part is not among those that servers are started for.
        """
        if self.started is None:
            raise RuntimeError("no servers were started for this part: see SERVED in bench/__main__.py")
        return self.started

    def amount(self, full: _Amount, quick: _Amount) -> _Amount:
        """Return how much to do."""
        return quick if self.quick else full

    def shared(self, name: str) -> Path:
        """Return a folder of several parts."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def room(self, name: str) -> Path:
        """Return a new folder."""
        folder = self.folder / name
        folder.mkdir()
        return folder
