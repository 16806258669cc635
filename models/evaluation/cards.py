"""Model cards, filled from what `fleet models evaluate` measured."""

from collections.abc import Iterator, Sequence

from models.evaluation.card_parts import CardData, Curves, Notes, TrainingPoint
from models.evaluation.lineup import FACE_SIZE, SHARPNESS
from models.evaluation.markdown import difference, document, figure, table
from models.evaluation.report import EvaluationReport, Judgement, Level, Result
from models.evaluation.summary import Summary, result_words, summaries
from models.manifest import Entry

MARK = "Written by `fleet models card`"
"""What a card of this kind says of itself; others are not written over."""
_ROWS_OF_CURVES = 8
_LEVELS = {Level.FRAME: "", Level.VIDEO: ", videos"}
_STEPS = {"none": "none", "jpeg": "JPEG quality", "h264": "H.264 CRF", "downscale": "downscale"}


def detector_card(
    entry: Entry, data: CardData, notes: Notes, curves: Curves | None = None, picture: str | None = None
) -> str:
    """Return the card of a detector, Markdown.

    Args:
        entry: of the manifest.
        data: what was measured of it.
        notes: the texts.
        curves: of its training, where there was one.
        picture: file name of the drawn curves.
    """
    report = data.report
    summary = next(each for each in summaries(report) if each.row.name == entry.name)
    return document(
        f"# {entry.name} {entry.version}",
        notes.texts["What it is"],
        f"{MARK} from `{entry.name}.evaluation.json` and `{entry.name}.notes.md`; the figures are those of "
        "`fleet models evaluate`.",
        "## Facts",
        _facts(entry, data, summary),
        "## Training data",
        notes.texts["Training data"],
        *_training(curves, picture),
        "## Does it separate?",
        _resolution(report),
        _sentences(report, entry.name),
        *_figures(report, entry.name),
        *_robustness(report, entry.name),
        "## The media",
        _media(report),
        "## Limits",
        notes.texts["Limits"],
        "## What it does not tell",
        notes.texts["What it does not tell"],
    )


def _facts(entry: Entry, data: CardData, summary: Summary) -> str:
    spec, output = entry.input, entry.output
    enlarged = f", enlarged to {spec.enlarge_to} in the graph" if spec.enlarge_to else ""
    of_rates = ", ".join(f"{value:.4f} for {float(rate):.1%}" for rate, value in output.thresholds.items())
    rows: list[tuple[str, object]] = [
        ("role", f"`{entry.role}`"),
        ("architecture", entry.family),
        ("file", f"`{_file(entry)}`"),
        ("sha256", f"`{entry.source.sha256}`"),
        ("size", f"{data.file_bytes / 1e6:.1f} MB"),
        ("licence", entry.licence),
        ("origin", entry.origin),
        ("input", f"{spec.crop.kind} crop, margin {spec.crop.margin:g}, {spec.size} px {spec.colour}{enlarged}"),
        ("output", f"logit / {output.temperature:g} + {output.bias:g}; its sigmoid is the probability of fake"),
        ("threshold", f"{output.threshold:.4f}"),
        ("weight", f"{summary.row.weight:g}: {summary.words}"),
    ]
    if of_rates:
        rows.insert(-1, ("thresholds by reals above", of_rates))
    if entry.head is not None:
        rows.insert(4, ("head", f"`{entry.head.path.name}`, sha256 `{entry.head.sha256}`"))
    return table(("", ""), rows, words=2)


def _file(entry: Entry) -> str:
    source = entry.source
    if source.kind == "wheel":
        return f"{source.requirement}:{source.member}"
    return source.url if source.kind == "https" else source.path.name


def _training(curves: Curves | None, picture: str | None) -> Iterator[str]:
    if curves is None:
        return
    yield "## Training"
    yield table(("recipe", ""), ((name, value) for name, value in curves.recipe.items()), words=1)
    if picture is not None:
        yield f"![Loss, accuracy and validation AUC over the steps]({picture})"
    yield table(
        ("step", "loss", "right", "validation AUC", "hours"),
        (
            (
                point.step,
                f"{point.loss:.3f}",
                f"{point.accuracy:.1%}",
                "-" if point.validation_auc is None else f"{point.validation_auc:.3f}",
                f"{point.seconds / 3600:.2f}",
            )
            for point in _some(curves.points)
        ),
        words=0,
    )
    earlier, step = curves.before, "It began with the weights of another training"
    while earlier is not None:
        told = ", ".join(f"{name} {value}" for name, value in earlier.recipe.items())
        yield f"{step}: {earlier.points[-1].step} steps, {told}."
        earlier, step = earlier.before, "Which had begun with those of one before it"


def _some(points: Sequence[TrainingPoint]) -> list[TrainingPoint]:
    """A few of the points, those with a validation AUC if there are any; the last one is kept."""
    told = [point for point in points if point.validation_auc is not None] or list(points)
    step = max(1, -(-len(told) // _ROWS_OF_CURVES))
    return told[::-1][::step][::-1]


def _resolution(report: EvaluationReport) -> str:
    if report.plan.one_resolution is None:
        return "Faces as found: what sources differ in, size and compression, is there to be seen."
    return (
        f"All faces were brought to {report.plan.one_resolution} px and one JPEG quality first, because size and "
        "compression of the sources leak the label."
    )


def _sentences(report: EvaluationReport, row: str) -> str:
    """In words, whether it separates on each subset."""
    said = []
    for each in _of(report, row, report.views[0]):
        auc, where = figure(each.metrics.auc), f"{each.subset}{_LEVELS[each.level]}"
        if each.judgement is Judgement.SEPARATES:
            said.append(f"* On *{where}* it {result_words(each)}: AUC {auc}.")
        elif each.judgement is Judgement.DOES_NOT:
            said.append(f"* On *{where}* it **does not separate**: AUC {auc}, and the interval holds 0.5.")
        elif each.judgement is Judgement.WRONG_WAY:
            said.append(f"* On *{where}* it **points the wrong way**: AUC {auc}, fakes score below reals.")
        else:
            said.append(
                f"* On *{where}* there are too few files to tell ({each.real_files} real, {each.fake_files} fake): "
                f"AUC {auc}."
            )
    return "\n".join(said)


def _figures(report: EvaluationReport, row: str) -> Iterator[str]:
    """The figures, beside what the size of the face and the sharpness of the crop tell of the same faces."""
    for view in report.views:
        yield f"### Figures, {view}"
        yield table(
            (
                "subset",
                "reals",
                "fakes",
                "AUC",
                "AUC of size alone",
                "AUC of sharpness",
                "above size alone",
                "EER",
                "AP",
                "TPR at 1 % FPR",
                "TPR at 5 % FPR",
                "ECE as shipped",
                "ECE calibrated",
            ),
            (
                (
                    f"{each.subset}{_LEVELS[each.level]}",
                    each.reals,
                    each.fakes,
                    figure(each.metrics.auc),
                    *(_baseline(report, each, name) for name in (FACE_SIZE, SHARPNESS)),
                    difference(each.margin),
                    figure(each.metrics.eer),
                    figure(each.metrics.average_precision),
                    figure(each.metrics.true_positives_at_1),
                    figure(each.metrics.true_positives_at_5),
                    figure(each.metrics.calibration_error_before),
                    figure(each.metrics.calibration_error_after),
                )
                for each in _of(report, row, view)
            ),
        )


def _baseline(report: EvaluationReport, result: Result, name: str) -> str:
    found = report.result(result.subset, name, result.level, result.view)
    return "-" if found is None else figure(found.metrics.auc)


def _robustness(report: EvaluationReport, row: str) -> Iterator[str]:
    points = [each for each in report.robustness if each.row == row]
    if not points:
        return
    subsets = list(dict.fromkeys(each.subset for each in points))
    steps = dict.fromkeys((each.kind, each.value) for each in points)
    auc = {(each.subset, each.kind, each.value): figure(each.auc) for each in points}
    yield "## Robustness"
    yield (
        "AUC of files, at most so many of each label: "
        + ", ".join(
            f"{each.subset} {each.real_files} real and {each.fake_files} fake" for each in points if each.kind == "none"
        )
        + "."
    )
    yield table(
        ("", *subsets),
        (
            (
                _STEPS[kind] if kind == "none" else f"{_STEPS[kind]} {value:g}",
                *(auc.get((subset, kind, value), "-") for subset in subsets),
            )
            for kind, value in steps
        ),
    )


def _media(report: EvaluationReport) -> str:
    return table(
        ("subset", "label", "files", "judged", "unreadable", "without a face", "faces", "median face, px"),
        (
            (
                each.subset,
                "fake" if each.fake else "real",
                each.files,
                each.judged,
                each.unreadable,
                each.without_face,
                each.faces,
                "-" if each.median_side_px is None else round(each.median_side_px),
            )
            for each in report.media
        ),
        words=2,
    )


def _of(report: EvaluationReport, row: str, view: str) -> list[Result]:
    return [each for each in report.results if each.row == row and each.view == view]
