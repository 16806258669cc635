"""An evaluation as a document, and as tables for a terminal. All of it comes from the report."""

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from agents.report.wording import counted
from models.evaluation.lineup import FACE_SIZE
from models.evaluation.markdown import difference, document, figure, table
from models.evaluation.report import EvaluationReport, Judgement, Kind, Level, MediaCount, Result
from models.evaluation.summary import Summary, result_words, summaries

LEVELS: Mapping[Level, str] = {Level.FRAME: "pictures and frames", Level.VIDEO: "videos"}
STEPS: Mapping[str, str] = {"jpeg": "JPEG quality", "h264": "H.264 CRF", "downscale": "downscale"}
_STYLES: Mapping[Judgement, str] = {
    Judgement.SEPARATES: "green",
    Judgement.DOES_NOT: "yellow",
    Judgement.WRONG_WAY: "red",
    Judgement.TOO_FEW: "dim",
}
_HEAD = (
    "row",
    "kind",
    "says",
    "AUC",
    "above size alone",
    "EER",
    "AP",
    "TPR at 1 % FPR",
    "TPR at 5 % FPR",
    "ECE as shipped",
    "ECE calibrated",
)


def evaluation_markdown(report: EvaluationReport, pictures: Sequence[tuple[str, str]] = ()) -> str:
    """Return the document, Markdown.

    Args:
        report: what was found.
        pictures: title and file name of each plot beside it.
    """
    return document(
        f"# Evaluation of {report.name}",
        _intro(report),
        "## What each row counts for",
        "A row separates where the whole 95 % interval of its AUC lies above 0.5. What separates nowhere has weight 0.",
        table(
            ("row", "kind", "weight", "on these subsets"),
            ((each.row.name, each.row.kind, _weight(each), each.words) for each in summaries(report)),
            words=4,
        ),
        *_results(report),
        *_robustness(report),
        "## Pictures" if pictures else "",
        *(f"![{title}]({name})" for title, name in pictures),
        "## The media",
        _media(report),
        *_left_out(report),
        "## How the figures come about",
        _method(report),
    )


def result_tables(report: EvaluationReport) -> Iterator[Table]:
    """Return a table for each subset and level, in the view that counts."""
    for subset, level, results in _grouped(report, report.views[0]):
        one = results[0]
        title = f"{subset}, {LEVELS[level]} · {_counts(one)} · {report.views[0]}"
        rows = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        rows.add_column("row", no_wrap=True)
        for heading in ("AUC", "95 %", "above size", "EER", "TPR 5 %", "ECE"):
            rows.add_column(heading, justify="right", no_wrap=True)
        rows.add_column("says")
        for each in results:
            metrics = each.metrics
            error = metrics.calibration_error_before
            rows.add_row(
                Text(_name(each)),
                f"{metrics.auc.value:.3f}",
                _interval(each),
                "-" if each.margin is None else f"{each.margin.value:+.3f}",
                f"{metrics.eer.value:.3f}",
                f"{metrics.true_positives_at_5.value:.3f}",
                "-" if error is None else f"{error.value:.3f}",
                Text(result_words(each), _STYLES[each.judgement]),
            )
        yield rows


def summary_table(report: EvaluationReport) -> Table:
    """Return what each row counts for, and where it separates."""
    rows = Table(title="What each row counts for", title_justify="left", title_style="bold", box=None, pad_edge=False)
    rows.add_column("row", no_wrap=True)
    rows.add_column("weight", justify="right", no_wrap=True)
    rows.add_column("on these subsets")
    for each in summaries(report):
        style = "red" if each.weighs_without_ground else "" if each.separates else "dim"
        rows.add_row(Text(each.row.name), _weight(each), Text(each.words, style))
    return rows


def _intro(report: EvaluationReport) -> str:
    plan = report.plan
    resolution = (
        "Faces are judged as found."
        if plan.one_resolution is None
        else f"All faces are brought to {plan.one_resolution} px and one JPEG quality first, because sizes and "
        "compression of the sources leak the label."
    )
    also = f" The same faces as found are in the tables *{report.views[1]}*." if len(report.views) > 1 else ""
    models = ", ".join(f"{each.name} {each.version} ({each.role})" for each in report.detectors) or "no detector"
    return (
        f"Measured: {models}; faces found by {report.face_detector}. {resolution}{also} The face's size alone, as "
        "found, is a row of every table: a detector that does no better may know nothing else."
    )


def _weight(summary: Summary) -> str:
    return "-" if summary.row.kind in {Kind.FUSED, Kind.BASELINE} else f"{summary.row.weight:g}"


def _results(report: EvaluationReport) -> Iterator[str]:
    kinds = {row.name: row.kind for row in report.rows}
    for view in report.views:
        for subset, level, results in _grouped(report, view):
            yield f"## {subset}, {LEVELS[level]}, {view}"
            yield _counts(results[0]).capitalize() + "." + _coarse(results[0])
            yield table(
                _HEAD,
                (
                    (
                        _name(each),
                        kinds[each.row],
                        result_words(each),
                        figure(each.metrics.auc),
                        difference(each.margin),
                        figure(each.metrics.eer),
                        figure(each.metrics.average_precision),
                        figure(each.metrics.true_positives_at_1),
                        figure(each.metrics.true_positives_at_5),
                        figure(each.metrics.calibration_error_before),
                        figure(each.metrics.calibration_error_after),
                    )
                    for each in results
                ),
                words=3,
            )


def _coarse(result: Result) -> str:
    if result.reals >= 100:
        return ""
    return f" 1 % of {counted(result.reals, 'real')} is less than one: that column says what scores above all of them."


def _robustness(report: EvaluationReport) -> Iterator[str]:
    if not report.robustness:
        return
    yield "## Robustness"
    plan = report.plan
    yield (
        "AUC after the region around each face was compressed or reduced once more. Files are ranked: at most "
        f"{plan.robustness_files} of each label, of a video {counted(plan.robustness_frames, 'frame')} pooled, each "
        "encoded as a key frame. *None* is without that step"
        + ("." if plan.one_resolution is None else f", at {plan.one_resolution} px and without the JPEG of the tables.")
    )
    for subset in dict.fromkeys(each.subset for each in report.robustness):
        of_subset = [each for each in report.robustness if each.subset == subset]
        rows = dict.fromkeys(each.row for each in of_subset)
        steps = dict.fromkeys((each.kind, each.value) for each in of_subset)
        auc = {(each.row, each.kind, each.value): figure(each.auc) for each in of_subset}
        # No step changes the size of the face as found: it has one figure.
        unchanged = {each.row: figure(each.auc) for each in of_subset if each.row == FACE_SIZE}
        first = of_subset[0]
        yield f"### {subset}: {counted(first.real_files, 'real file')}, {counted(first.fake_files, 'fake file')}"
        yield table(
            ("", *rows),
            (
                (_step(kind, value), *(unchanged.get(row) or auc[row, kind, value] for row in rows))
                for kind, value in steps
            ),
        )


def _media(report: EvaluationReport) -> str:
    return table(
        (
            "subset",
            "label",
            "files",
            "of them videos",
            "judged",
            "unreadable",
            "without a face",
            "frames looked at",
            "faces judged",
            "median face, px",
        ),
        (_media_row(each) for each in report.media),
        words=2,
    )


def _media_row(count: MediaCount) -> tuple[object, ...]:
    return (
        count.subset,
        "fake" if count.fake else "real",
        count.files,
        count.videos,
        count.judged,
        count.unreadable,
        count.without_face,
        count.frames,
        count.faces,
        "-" if count.median_side_px is None else round(count.median_side_px),
    )


def _left_out(report: EvaluationReport) -> Iterator[str]:
    for subset in report.subsets:
        if subset.ignored:
            yield f"{subset.name}: {counted(subset.ignored, 'other file')} in its folders, not looked at."
    if report.left_out:
        yield "Not judged:"
        yield table(
            ("subset", "file", "why"), ((each.subset, each.file, each.why) for each in report.left_out), words=3
        )


def _method(report: EvaluationReport) -> str:
    plan = report.plan
    limit = "" if plan.limit is None else f" Of each label of a subset the first {plan.limit} files by name were taken."
    return (
        f"Of a picture the largest face is judged, of a video the largest of each of {plan.frames} evenly spread "
        f"frames.{limit} A video's score is the mean of the mean and of the mean of the highest {plan.top_share:.0%} "
        f"of its faces. Intervals hold 95 % of {plan.rounds} bootstrap draws (seed {plan.seed}) of whole files, reals "
        "and fakes apart; *above size alone* is the difference of both AUCs in the same draws. AP depends on the share "
        "of fakes. "
        "ECE has ten bins, both labels counting alike; it is of the files that calibration was not fitted on, a half "
        "chosen by a hash of their names. Baselines are turned round where small tells more. With fewer than ten files "
        "of a label nothing is said of separating."
    )


def _grouped(report: EvaluationReport, view: str) -> Iterator[tuple[str, Level, list[Result]]]:
    for subset in report.subsets:
        for level in Level:
            results = [
                each for each in report.results if (each.subset, each.view, each.level) == (subset.name, view, level)
            ]
            if results:
                yield subset.name, level, results


def _counts(result: Result) -> str:
    said = []
    for label, samples, files in (("real", result.reals, result.real_files), ("fake", result.fakes, result.fake_files)):
        what = counted(samples, label)
        said.append(what if samples == files else f"{what} of {counted(files, 'file')}")
    return ", ".join(said)


def _name(result: Result) -> str:
    return f"{result.row} (turned)" if result.turned else result.row


def _interval(result: Result) -> str:
    auc = result.metrics.auc
    return "-" if auc.low is None or auc.high is None else f"{auc.low:.3f}-{auc.high:.3f}"


def _step(kind: str, value: float) -> str:
    return "none" if kind == "none" else f"{STEPS[kind]} {value:g}"
