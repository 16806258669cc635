"""`fleet models needs`: how much memory models take, which decides whether a worker lets them in."""

from collections.abc import Sequence
from math import ceil

from rich.table import Table

from agents.cli.console import ERR, OUT
from agents.model_set import manifest
from agents.settings import ModelSettings, load_settings
from models.exceptions import ProviderUnavailable
from models.graph import prepare
from models.inference.admission import MIB
from models.inference.footprint import Footprint, NotMeasured, measure_footprint
from models.inference.providers import require_usable, tried
from models.manifest import MANIFEST, Entry
from models.manifest_text import with_needs
from models.sources import resolve


def needs(names: Sequence[str], *, write: bool) -> None:
    """Measure entries and show what they need, and put it into the manifest in use where `write` says so.

    Raises:
        SettingsInvalid: a setting cannot be.
        ModelError: a model cannot be had, does not serve, or is of a manifest that the one in use extends.
    """
    settings = load_settings().models
    path = settings.manifest or MANIFEST
    known = manifest(settings)
    entries = [known.entry(name) for name in names] if names else known.entries
    measured = []
    for entry in entries:
        with ERR.status(f"opening {entry.name}"):
            measured.append((entry, _measured(entry, settings)))
    if write:
        text = path.read_text(encoding="utf-8")
        for entry, footprints in measured:
            text = with_needs(text, _with_figures(entry, footprints))
        path.write_text(text, encoding="utf-8")
    OUT.print(_table(measured))


def _measured(entry: Entry, settings: ModelSettings) -> list[Footprint | NotMeasured]:
    weights = resolve(entry, settings.cache, offline=settings.offline)
    graph = prepare(entry, weights, settings.cache)
    providers = [name for name in tried(settings.provider, [entry]) if _has(entry, name)]
    return [measure_footprint(entry, graph, provider=name, threads=settings.threads or None) for name in providers]


def _has(entry: Entry, provider: str) -> bool:
    try:
        require_usable(entry, provider)
    except ProviderUnavailable:
        return False
    return True


def _with_figures(entry: Entry, footprints: Sequence[Footprint | NotMeasured]) -> Entry:
    """The entry with what was measured; what was not keeps its figure."""
    figures = {each.provider: float(_mib(each)) for each in footprints if isinstance(each, Footprint)}
    return entry.model_copy(update={"needs": {**entry.needs, **figures}})


def _mib(footprint: Footprint) -> int:
    return ceil(footprint.peak_bytes / MIB)


def _table(measured: Sequence[tuple[Entry, Sequence[Footprint | NotMeasured]]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", no_wrap=True)
    table.add_column("on", no_wrap=True)
    for heading in ("MiB", "in the manifest"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry, footprints in measured:
        for each in footprints:
            figure = f"{_mib(each)}" if isinstance(each, Footprint) else "not measured"
            kept = entry.needs.get(each.provider)
            table.add_row(entry.name, each.provider, figure, "·" if kept is None else f"{kept:g}")
    return table
