"""The whole way: labelled files in, a report out."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from models.evaluation.figures import Figures, area_of, clips_of, either_way, figures_of, frames_of
from models.evaluation.layout import Layout, Sample, Subset
from models.evaluation.lineup import FACE_SIZE, Lineup
from models.evaluation.reading import FACELESS, UNREADABLE, look
from models.evaluation.report import (
    DetectorFacts,
    EvaluationReport,
    LeftOut,
    Level,
    MediaCount,
    PlanFacts,
    Result,
    Robustness,
    RowFacts,
    SubsetFacts,
)
from models.evaluation.scoring import Plan, ScoredFile, score_file
from models.evaluation.views import STEPS, UNDISTURBED
from models.fingerprint import preprocessing_hash
from models.fitting.faces import OnStep


def evaluate(layout: Layout, lineup: Lineup, plan: Plan, on_step: OnStep) -> EvaluationReport:
    """Measure a line-up on labelled media.

    Args:
        layout: the files; one that several subsets share is scored once.
        lineup: what is measured.
        plan: how.
        on_step: told how far it is.

    Raises:
        InferenceError: a model failed; a file that cannot be read is counted.
    """
    subsets = [subset.first(plan.limit) for subset in layout.subsets]
    scored = _scored(subsets, lineup, plan, on_step)
    media: list[MediaCount] = []
    left_out: list[LeftOut] = []
    results: list[Result] = []
    robustness: list[Robustness] = []
    for done, subset in enumerate(subsets, 1):
        files = [scored[sample.path] for sample in subset.samples]
        media += [_count(subset.name, fake, files) for fake in (False, True)]
        left_out += [
            LeftOut(subset=subset.name, file=each.sample.path.name, why=each.problem) for each in files if each.problem
        ]
        results += _results(subset.name, files, lineup, plan)
        robustness += _robustness(subset.name, files, lineup, plan)
        on_step("figures", done, len(subsets))
    return EvaluationReport(
        name=layout.name,
        plan=PlanFacts(
            one_resolution=plan.one_resolution,
            frames=plan.frames,
            limit=plan.limit,
            robustness_files=plan.robustness_files,
            robustness_frames=plan.robustness_frames,
            seed=plan.seed,
            rounds=plan.rounds,
            top_share=lineup.top_share,
        ),
        views=tuple(plan.views),
        face_detector=f"{lineup.faces.entry.name} {lineup.faces.entry.version}",
        detectors=tuple(_detectors(lineup)),
        rows=tuple(
            RowFacts(name=row.name, kind=row.kind, weight=row.weight, threshold=row.threshold) for row in lineup.rows
        ),
        subsets=tuple(SubsetFacts(name=subset.name, ignored=subset.ignored) for subset in subsets),
        media=tuple(media),
        left_out=tuple(left_out),
        results=tuple(results),
        robustness=tuple(robustness),
    )


def _scored(subsets: Sequence[Subset], lineup: Lineup, plan: Plan, on_step: OnStep) -> Mapping[Path, ScoredFile]:
    """Score every file once."""
    disturbed = {sample.path for subset in subsets for sample in subset.first(plan.robustness_files).samples}
    samples: dict[Path, Sample] = {sample.path: sample for subset in subsets for sample in subset.samples}
    scored = {}
    for done, (path, sample) in enumerate(samples.items(), 1):
        looked = look(sample, lineup.faces, plan.frames)
        scored[path] = score_file(looked, lineup, plan, disturbed=path in disturbed)
        on_step("files", done, len(samples))
    return scored


def _results(subset: str, files: Sequence[ScoredFile], lineup: Lineup, plan: Plan) -> Iterator[Result]:
    rows = lineup.rows
    for view in plan.views:
        for level, table_of in ((Level.FRAME, frames_of), (Level.VIDEO, clips_of)):
            table = table_of(files, rows, view, plan.seed)
            for row in rows if table is not None else ():
                found = figures_of(table, row, seed=plan.seed, rounds=plan.rounds) if table is not None else None
                if found is not None:
                    yield _result(subset, view, level, row.name, found)


def _result(subset: str, view: str, level: Level, row: str, found: Figures) -> Result:
    table = found.table
    return Result(
        subset=subset,
        view=view,
        level=level,
        row=row,
        reals=int((~table.fake).sum()),
        fakes=int(table.fake.sum()),
        real_files=table.files(fake=False),
        fake_files=table.files(fake=True),
        turned=found.turned,
        judgement=found.judgement,
        metrics=found.metrics,
        margin=found.margin,
        slope=found.calibration.slope if found.calibration else None,
        bias=found.calibration.bias if found.calibration else None,
        shape=found.shape,
    )


def _robustness(subset: str, files: Sequence[ScoredFile], lineup: Lineup, plan: Plan) -> Iterator[Robustness]:
    """The curves of detectors and their fusion, and a point for the face's size, which no step changes."""
    disturbed = [each for each in files if each.steps]
    fake = np.array([each.sample.fake for each in disturbed], bool)
    if not fake.any() or fake.all():
        return
    first = next(iter(plan.views))
    scores = {
        (row.name, step): np.array([each.steps[step][row.name] for each in disturbed])
        for row in lineup.rows
        if row.kind.says_probability
        for step in STEPS
    }
    sizes = np.array([each.views[first].file[FACE_SIZE] for each in disturbed])
    scores[FACE_SIZE, UNDISTURBED] = either_way(sizes, fake)[0]
    for (row, step), values in scores.items():
        yield Robustness(
            subset=subset,
            row=row,
            kind=step.kind,
            value=step.value,
            real_files=int((~fake).sum()),
            fake_files=int(fake.sum()),
            auc=area_of(values, fake, seed=plan.seed, rounds=plan.rounds),
        )


def _count(subset: str, fake: bool, files: Sequence[ScoredFile]) -> MediaCount:
    of_label = [each for each in files if each.sample.fake is fake]
    sides = np.concatenate([each.sides for each in of_label])
    return MediaCount(
        subset=subset,
        fake=fake,
        files=len(of_label),
        videos=sum(each.sample.moving for each in of_label),
        judged=sum(not each.problem for each in of_label),
        unreadable=sum(each.problem == UNREADABLE for each in of_label),
        without_face=sum(each.problem == FACELESS for each in of_label),
        frames=sum(each.frames for each in of_label),
        faces=len(sides),
        median_side_px=round(float(np.median(sides)), 1) if len(sides) else None,
    )


def _detectors(lineup: Lineup) -> Iterator[DetectorFacts]:
    for detector in lineup.detectors.values():
        entry = detector.entry
        yield DetectorFacts(
            name=entry.name,
            version=entry.version,
            role=entry.role,
            sha256=entry.source.sha256,
            head_sha256=entry.head.sha256 if entry.head else None,
            preprocessing_hash=preprocessing_hash(entry),
            threshold=entry.output.threshold,
            provider=detector.session.provider,
        )
