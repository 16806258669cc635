"""`fleet models evaluate`: what detectors and analyses are worth on labelled media."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from agents.cli.console import ERR, OUT, complain, note
from agents.cli.exits import CommandFailed, ExitCode
from agents.model_set import chosen, manifest
from agents.report.evaluation import evaluation_markdown, result_tables, summary_table
from agents.settings import ModelSettings, load_settings
from models.detectors import Detector, DetectorSet, LoadOptions
from models.evaluation.evaluation import evaluate as measure
from models.evaluation.exceptions import LayoutInvalid
from models.evaluation.layout import Layout, read_layout
from models.evaluation.lineup import Lineup, fused_as_decided, weights_in_force
from models.evaluation.report import EvaluationReport
from models.evaluation.scoring import Plan
from models.evaluation.summary import summaries
from models.evaluation.temporal import TemporalAnalyses, scorer_of
from models.fusion_weights import load_fusion


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What `fleet models evaluate` was asked for.

    Attributes:
        subsets: folders by name, see `models.evaluation.layout.read_layout`.
        models: names of manifest entries; those that the settings load where there are none.
        output: folder of report and pictures.
        analyses: whether analyses of artifacts and of time are measured, too.
    """

    plan: Plan
    subsets: Sequence[str]
    models: Sequence[str]
    output: Path
    analyses: bool


def evaluate(source: Path, options: EvaluateOptions) -> None:
    """Measure, write report and pictures, and show the figures.

    Raises:
        SettingsInvalid: a setting cannot be.
        ModelError: a model cannot be had, does not load, or failed.
        CommandFailed: the media are not laid out by label, the extra `plot` is missing, or nothing can be written.
    """
    try:
        from agents.report.evaluation_plots import write_plots  # noqa: PLC0415  (extra `plot`)
    except ModuleNotFoundError as error:
        raise CommandFailed(
            ExitCode.USAGE, f"evaluate needs the extra `plot`: pip install 'deepfake-fleet[plot]' ({error})"
        ) from error
    try:
        layout = read_layout(source, options.subsets)
    except LayoutInvalid as error:
        raise CommandFailed(ExitCode.USAGE, str(error)) from error
    report = _measure(layout, options, load_settings().models)
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "report.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
        pictures = write_plots(report, options.output)
        (options.output / "report.md").write_text(evaluation_markdown(report, pictures), encoding="utf-8")
    except OSError as error:
        raise CommandFailed(ExitCode.USAGE, f"{options.output} cannot be written: {error}") from error
    _show(report)
    OUT.print(f"written: {options.output}/report.md, report.json and pictures", markup=False, soft_wrap=True)


def _measure(layout: Layout, options: EvaluateOptions, settings: ModelSettings) -> EvaluationReport:
    known = manifest(settings)
    names = list(options.models) or [entry.name for entry in chosen(settings)]
    load = LoadOptions(
        cache=settings.cache, offline=settings.offline, provider=settings.provider, threads=settings.threads or None
    )
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with ERR.status("loading the models"):
        loaded = DetectorSet.load(known, load, names=names)
    with loaded, Progress(*columns, console=ERR, transient=True, disable=not ERR.is_terminal) as bars:
        tasks = {}

        def on_step(step: str, done: int, of: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=of)
            bars.update(tasks[step], completed=done)

        fusion = load_fusion(known.fusion, loaded.entries)
        lineup = Lineup(
            faces=loaded.faces,
            detectors=loaded.detectors,
            weights=weights_in_force(loaded.detectors),
            fuse=fused_as_decided(_one_of_each_role(loaded.detectors), fusion),
            clips=(TemporalAnalyses(loaded.faces, scorer_of(loaded.detectors)),) if options.analyses else (),
            artifacts=options.analyses,
        )
        return measure(layout, lineup, options.plan, on_step)


def _one_of_each_role(detectors: Mapping[str, Detector]) -> Mapping[str, Detector]:
    """The first detector of each role: what a worker would ask."""
    first: dict[str, Detector] = {}
    for detector in detectors.values():
        first.setdefault(detector.entry.role, detector)
    return {detector.entry.name: detector for detector in first.values()}


def _show(report: EvaluationReport) -> None:
    for table in result_tables(report):
        OUT.print(table)
        OUT.print()
    OUT.print(summary_table(report))
    OUT.print()
    for each in report.media:
        if each.unreadable or each.without_face:
            label = "fake" if each.fake else "real"
            note(
                f"{each.subset}: of {each.files} {label} files {each.unreadable} unreadable, "
                f"{each.without_face} without a face"
            )
    for summary in summaries(report):
        if summary.weighs_without_ground:
            complain(f"{summary.row.name} counts {summary.row.weight:g} in decisions, and was not found to separate")
