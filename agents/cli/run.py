"""`fleet run`: one agent in this process, several in a supervised process each, scoring ones on many devices."""

import logging
import os
from collections.abc import Sequence

import typer

from agents.cli.console import note
from agents.cli.supervise import RESTARTING, supervise
from agents.placement import Machine, places
from agents.settings import ModelSettings, Settings, load_settings
from agents.supervision import Worker, workers
from models.inference.cpus import available_cpus
from models.inference.devices import Devices, list_devices_within
from models.inference.installed import installed_runtimes

AGENTS = ("uploads", "segments", "streams", "frames", "sink", "hooks", "door")
"""The names of `agents.assembly.AGENTS` and `SERVICES`, which loads what the agents need: a supervisor does not."""

SCORING = ("segments", "frames")
"""Those that run models."""


_NVML_S = 15.0
"""Loading a driver that nothing else holds open takes seconds, on many GPUs."""


def run(names: Sequence[str], devices: str = "") -> None:
    """Run the agents named until a signal comes.

    Args:
        names: agents; `all` is every one.
        devices: where scoring agents run, see `agents.placement.places`; nothing runs one worker for each name.

    Raises:
        SettingsInvalid: a setting cannot be.
        DevicesInvalid: a device is not there or cannot be used.
        AgentStopped: the one agent cannot go on.
        ModelError, Unavailable: it cannot start.
        typer.Exit: one of several ended by itself and was given up; its code is this command's.
    """
    asked = list(AGENTS) if "all" in names else list(names)
    for name in asked:
        if name not in AGENTS:
            raise typer.BadParameter(f"no agent {name!r}; there are {', '.join(AGENTS)}, and all of them: all")
    if devices:
        _refuse_without_scoring(asked)
    settings = load_settings()
    if devices:
        _run_on(devices, asked, settings)
    elif len(asked) == 1:
        _run_here(asked[0], settings)
    else:
        runtime = settings.runtime
        supervise(workers(asked, instance=runtime.instance, health_port=runtime.health_port), runtime)


def _refuse_without_scoring(asked: Sequence[str]) -> None:
    scoring = [name for name in asked if name in SCORING]
    if not scoring:
        raise typer.BadParameter(
            f"--devices is for agents that run models: {', '.join(SCORING)}; not {', '.join(dict.fromkeys(asked))}"
        )
    for name in scoring:
        if asked.count(name) > 1:
            raise typer.BadParameter(f"{name} is named {asked.count(name)} times; --devices says how many there are")


def _run_here(name: str, settings: Settings) -> None:
    from agents.assembly import service  # noqa: PLC0415  (a supervisor needs none of it)
    from agents.runtime.failpoints import arm  # noqa: PLC0415
    from agents.runtime.logs import configure_logging  # noqa: PLC0415
    from agents.runtime.metrics import Metrics  # noqa: PLC0415
    from agents.runtime.service import stop_on_signals  # noqa: PLC0415

    arm(settings.runtime.failpoints)
    configure_logging(settings.runtime.log_level, settings.runtime.log_format)
    running = service(name, settings, Metrics())
    stop_on_signals(running)
    logging.getLogger("agents").info("%s: starting", name)
    running.run()
    logging.getLogger("agents").info("%s: ended", name)


def _run_on(devices: str, asked: Sequence[str], settings: Settings) -> None:
    chosen = places(devices, this_machine(settings.models))
    runtime = settings.runtime
    planned = workers(
        asked,
        instance=runtime.instance,
        health_port=runtime.health_port,
        places=dict.fromkeys(SCORING, chosen.each),
    )
    for line in chosen.notes:
        note(line)
    words = {place.label: place.words for place in chosen.each}
    for worker in planned:
        if (place := worker.label.partition("@")[2]) in words:
            note(f"{worker.label}: {words[place]}")
    supervise(planned, runtime, RESTARTING, _hindrance)


def this_machine(models: ModelSettings) -> Machine:
    """Return what decides about places here."""
    return Machine(
        devices=_devices,
        cpus=available_cpus(),
        runs_cuda="onnxruntime-gpu" in installed_runtimes(),
        provider=models.provider,
        threads=models.threads,
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
    )


def _devices() -> Devices:
    return list_devices_within(_NVML_S)


def _hindrance(worker: Worker) -> str:
    """Why a worker cannot run now: its GPU has fallen off the bus, or its slice was taken away."""
    if not worker.device:
        return ""
    devices = _devices()
    if any(device.uuid == worker.device for device in devices.found):
        return ""
    return "; ".join([f"{worker.device} is not there", *map(str, devices.missing)])
