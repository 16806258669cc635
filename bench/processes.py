"""Memory and processor time of processes, from proc(5)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agents.local.processes import children_of

_DECODER = b"agents.media.worker"
_NANOSECOND = 1e-9


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of some processes, MiB."""

    resident: float
    proportional: float
    """Each page shared by n processes counts as 1/n for each."""

    def __add__(self, other: Self) -> "Memory":
        return Memory(self.resident + other.resident, self.proportional + other.proportional)


def memory_of(pid: int) -> Memory:
    """Return the memory of a process."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, amount, *_ = line.split()
        fields[name.rstrip(":")] = int(amount) / 1024
    return Memory(fields["Rss"], fields["Pss"])


def decoders_of(pid: int) -> tuple[int, ...]:
    """Return the decoder processes of an agent's process."""
    return tuple(child for child in children_of(pid) if _DECODER in Path(f"/proc/{child}/cmdline").read_bytes())


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process' living threads so far, to the nanosecond (schedstat)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) * _NANOSECOND
