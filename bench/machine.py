"""What a benchmark ran on."""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Self

from models.inference.cpus import available_cpus
from models.inference.installed import installed_runtimes, the_runtime

_LIBRARIES = (
    "av",
    "confluent-kafka",
    "numpy",
    "opencv-python-headless",
    "orjson",
    "psycopg",
    "pydantic",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine and the software on it."""

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    broker: str
    libraries: tuple[str, ...]
    gpu: str | None = None

    @classmethod
    def here(cls, broker: str, gpu: str | None = None) -> Self:
        """Return this one, with what it was measured on."""
        return cls(
            cpu=_field(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine(),
            cores=available_cpus(),
            memory_gib=int((_field(Path("/proc/meminfo"), "MemTotal") or "0 kB").split()[0]) / 1024**2,
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            broker=broker,
            gpu=gpu,
            libraries=tuple(
                f"{name} {version(name)}" for name in sorted((*_LIBRARIES, the_runtime(installed_runtimes())))
            ),
        )

    def markdown(self) -> str:
        """Return it as a list."""
        return "\n".join(
            [
                f"* Machine: {self.cpu}, {self.cores} cores, {self.memory_gib:.0f} GiB, {self.system}",
                f"* Broker: {self.broker}",
                *([] if self.gpu is None else [f"* GPU: {self.gpu}"]),
                f"* Python {self.python}; {', '.join(self.libraries)}",
                "",
            ]
        )


def _field(file: Path, name: str) -> str | None:
    """Return the first field of that name in a file of `name: value` lines."""
    for line in file.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None
