"""Images a second of every family of networks, through the batcher and in a bare loop on the same session."""

from collections.abc import Mapping
from dataclasses import dataclass

from agents.settings import ModelSettings
from bench.devices import LABELS, NOT_MEASURED
from bench.families_plot import PACE_PICTURE, Point, draw_pace
from bench.networks import SEED, Network, families
from bench.pace import BATCHES_AHEAD, PRODUCERS, Race, race
from bench.report import Picture, Section, Table
from bench.run import Run
from models.graph import prepare
from models.inference.cpus import available_cpus
from models.inference.provider_options import CPU
from models.inference.session import Session

BATCHES = (1, 4, 16)


@dataclass(frozen=True, slots=True)
class Lap:
    """A network with batches of one size, by provider."""

    network: Network
    batch: int
    races: Mapping[str, Race]


def measure(run: Run) -> Section:
    """Measure all families on the run's providers."""
    cache = ModelSettings().cache
    room = run.shared("networks")
    laps: list[Lap] = []
    for network in families(room, cache):
        run.tell(f"families: {network.label}")
        graph = prepare(network.entry, network.weights, room / "prepared" if network.drawn else cache)
        by_batch: dict[int, dict[str, Race]] = {each: {} for each in BATCHES if each in network.entry.buckets}
        for provider in run.providers:
            session = Session(network.entry, graph, provider=provider)
            for batch, races in by_batch.items():
                races[provider] = race(session, network.images(batch), run.amount(3, 1), run.amount(0.6, 0.05))
            session.close()
        laps += [Lap(network, batch, races) for batch, races in by_batch.items()]
    tables = tuple(_table(provider, laps) for provider in run.providers)
    pictures = tuple(
        Picture(PACE_PICTURE.format(provider), _caption(provider), draw_pace(_points(provider, laps), _where(provider)))
        for provider in run.providers
    )
    return Section("Families", tables, pictures)


def _table(provider: str, laps: list[Lap]) -> Table:
    others = [name for name in LABELS if name != provider]
    rows = []
    for lap in laps:
        here = lap.races[provider]
        elsewhere = [lap.races[name].ours.text() if name in lap.races else NOT_MEASURED for name in others]
        rows.append(
            (
                f"{lap.network.label}{'' if not lap.network.drawn else ' *'}",
                f"{lap.network.entry.input.enlarge_to or lap.network.entry.input.size}",
                f"{lap.batch}",
                here.ours.text(),
                here.base.text(),
                here.ours.over(here.base).text(2),
                f"{here.fill:.0%}",
                *elsewhere,
            )
        )
    return Table(
        f"Images a second by family and batch, {_where(provider)}",
        ("family", "px", "batch", "batcher", "bare loop", "ratio", "batch fill", *(LABELS[name] for name in others)),
        tuple(rows),
        f"{PRODUCERS} threads submit 1 to 4 crops at a time and have {BATCHES_AHEAD} full batches under way together; "
        "the bare loop runs the same session on full batches that lie ready. The batcher adds gathering, futures and "
        "the threads that want them; what another thread prepares while a batch runs puts it above 1. px is the side "
        f"that the network sees. * Drawn weights (seed {SEED}): speed only. The encoder of clip_probe runs one image "
        "at a time, because its activations are quantised over the whole batch.",
    )


def _points(provider: str, laps: list[Lap]) -> list[Point]:
    return [
        Point(lap.network.label, lap.batch, lap.races[provider].ours, lap.races[provider].base, lap.network.drawn)
        for lap in laps
    ]


def _caption(provider: str) -> str:
    return f"Images a second by family and batch, through the batcher and in a bare loop, {_where(provider)}"


def _where(provider: str) -> str:
    return f"{available_cpus()} cores" if provider == CPU else LABELS[provider]
