"""What eight bits gain in speed, and what they cost in AUC."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray

from agents.cli.card import CARDS
from agents.settings import ModelSettings
from bench.devices import LABELS, NOT_MEASURED
from bench.networks import Network, shipped
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from models.evaluation.card_parts import CardData
from models.evaluation.report import Judgement, Level, Result
from models.graph import prepare
from models.inference.cpus import has_vnni
from models.inference.provider_options import CPU
from models.inference.session import Session
from models.manifest import Manifest


@dataclass(slots=True)
class _Pair:
    """A network in eight bits and in fp32, and images a second of both by provider and batch."""

    small: Network
    full: Network
    rates: dict[tuple[str, int], tuple[list[float], list[float]]] = field(default_factory=dict)


def measure(run: Run) -> Section:
    """Measure every network that is shipped in both, alternately, and read what their cards say."""
    pairs = _pairs(ModelSettings().cache)
    for pair in pairs:
        for provider in run.providers:
            run.tell(f"precision: {pair.small.label} on {provider}")
            _race(pair, provider, run.amount(5, 1), run.amount(0.5, 0.05))
    return Section("INT8 against fp32", (_speed_table(pairs, run.providers), _auc_table(pairs)))


def _pairs(cache: Path) -> list[_Pair]:
    manifest, networks = Manifest.load(), {each.label: each for each in shipped(cache)}
    twins = [(network, manifest.in_fp32(network.entry)) for network in networks.values()]
    return [_Pair(network, networks[full.name]) for network, full in twins if full is not None]


def _race(pair: _Pair, provider: str, repetitions: int, seconds: float) -> None:
    cache, clock = ModelSettings().cache, process_time if provider == CPU else perf_counter
    sessions = []
    for network in (pair.small, pair.full):
        graph = prepare(network.entry, network.weights, cache)
        sessions.append(Session(network.entry, graph, provider=provider, threads=1))
    for batch in pair.small.entry.buckets:
        kept: tuple[list[float], list[float]] = ([], [])
        pair.rates[provider, batch] = kept
        images = pair.small.images(batch)
        for _ in range(repetitions):
            for session, rates in zip(sessions, kept, strict=True):
                rates.append(_rate(session, images, seconds, clock))


def _rate(session: Session, images: NDArray[np.uint8], seconds: float, clock: Callable[[], float]) -> float:
    """Images a second, by a clock."""
    began, done = clock(), 0
    while done == 0 or clock() - began < seconds:
        session.answer(images)
        done += len(images)
    return done / (clock() - began)


def _speed_table(pairs: Sequence[_Pair], providers: Sequence[str]) -> Table:
    columns = []
    for provider, label in LABELS.items():
        columns += [f"{label}: {what}" for what in ("INT8", "fp32", "ratio")] if provider in providers else [label]
    rows = []
    for pair in pairs:
        for batch in pair.small.entry.buckets:
            cells = [pair.small.label, f"{batch}"]
            for provider in LABELS:
                if provider in providers:
                    small, full = (Samples(tuple(values)) for values in pair.rates[provider, batch])
                    cells += [small.text(), full.text(), small.over(full).text(2)]
                else:
                    cells.append(NOT_MEASURED)
            rows.append(tuple(cells))
    cores = f" On one core, by processor time. This processor {_vnni()}." if CPU in providers else ""
    return Table(
        "Images a second, INT8 against fp32",
        ("network", "batch", *columns),
        tuple(rows),
        f"The same network in the fleet's session, alternately.{cores}",
    )


def _auc_table(pairs: Sequence[_Pair]) -> Table:
    rows, view = [], "one resolution"
    for pair in pairs:
        small, full = (_results(each.entry.name, view) for each in (pair.small, pair.full))
        for subset in dict.fromkeys((*small, *full)) or ("",):
            quick, exact = small.get(subset), full.get(subset)
            loss = (
                NOT_MEASURED
                if quick is None or exact is None
                else f"{exact.metrics.auc.value - quick.metrics.auc.value:+.4f}"
            )
            rows.append((pair.small.label, subset, _auc(quick), _auc(exact), loss))
    return Table(
        "AUC, INT8 against fp32",
        ("network", "faces", "INT8", "fp32", "loss"),
        tuple(rows),
        "Of `NAME.evaluation.json` beside the cards, with 95 % intervals: the same files, frame by frame, all faces "
        "brought to one resolution first (docs/evaluation.md). A loss below 0 is a gain. Subsets of fewer than ten "
        "files of a label are left out.",
    )


def _results(name: str, view: str) -> Mapping[str, Result]:
    """What a card's figures say of a model, by subset; nothing where they were not measured."""
    path = CARDS / f"{name}.evaluation.json"
    if not path.exists():
        return {}
    report = CardData.model_validate_json(path.read_text(encoding="utf-8")).report
    return {
        each.subset: each
        for each in report.results
        if each.row == name
        and each.view == view
        and each.level is Level.FRAME
        and each.judgement is not Judgement.TOO_FEW
    }


def _auc(result: Result | None) -> str:
    if result is None:
        return NOT_MEASURED
    auc = result.metrics.auc
    within = "" if auc.low is None or auc.high is None else f" ({auc.low:.3f}–{auc.high:.3f})"  # noqa: RUF001
    return f"{auc.value:.3f}{within}"


def _vnni() -> str:
    """Whether the processor has 8-bit dot products, which ONNX Runtime uses where they are."""
    return "has VNNI: without it, the ratio is lower" if has_vnni() else "has no VNNI"
