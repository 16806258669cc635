"""Model cards, written from what a command measured."""

from collections.abc import Iterable, Sequence
from statistics import fmean

from models.fitting.report import FaceReport, FitReport, Rate, Separation, Speed
from models.manifest import Entry, Family


def synthetic_card(report: FitReport, entry: Entry) -> str:
    """The card of the synthetic-face detector, Markdown."""
    return _document(
        f"# {entry.name} {entry.version}: is this face fully synthetic?",
        "A linear head of our own on inner layers of the frozen image encoder of CLIP ViT-B/16, after Ojha et al. 2023 "
        "(arXiv 2302.10174) and RINE (Koutlis and Papadopoulos 2024, arXiv 2402.19091). Role "
        "`synthetic`: an axis of its own. It is not asked whether a real face was swapped, re-enacted or retouched, "
        "and a low score does not clear a face of that.",
        f"Written by `fleet models fit-head` from `{entry.name}.json`; every figure is of files that the head was "
        "not fitted on.",
        "## Facts",
        _table(
            ("", ""),
            (
                ("encoder", f"`{_source(entry)}`, sha256 `{report.weights_sha256[:16]}…`, INT8, {entry.licence}"),
                ("head", f"`weights/{entry.name}_head.npz`, sha256 `{report.head_sha256[:16]}…`"),
                ("input", _input(entry)),
                ("layers", "; ".join(map(_layer, report.tokens)) + "; each made unit, side by side"),
                ("output", "calibrated logit; its sigmoid is the probability, at as many fakes as reals"),
                ("threshold", f"{report.threshold:.3f}, for {report.target_false_positives:.1%} of real faces"),
                ("batch", "one crop a run: the encoder quantises its activations over the whole batch"),
                ("seed, C, views a face", f"{report.seed}, {report.regularisation:g}, {report.views}"),
            ),
        ),
        "## Data",
        "Not shipped. One face a file, the largest; split by a hash of the file name.",
        _table(
            ("folder", "files", "faces found", "fit", "calibrate", "test", "median size, px"),
            ((g.name, g.files, g.faces, g.fit, g.calibrate, g.test, round(g.median_side_px)) for g in report.groups),
        ),
        "## The shortcuts",
        "Face size alone tells these reals from these fakes, and so do sharpness and JPEG quality: they come from "
        f"different sources. So every face is cut without margin and brought to {entry.input.size} px, whatever it "
        "had, and the head is fitted on faces as served, and turned, moved, reduced and compressed at random, both "
        "classes alike, weighted so that at every sharpness both classes count the same. *JPEG 80* compresses all "
        "faces alike at the model's resolution: a detector that lives by the sources' JPEG quality falls there. The "
        "columns *size* and *sharpness* say what these alone still tell of the same faces (AUC, either way round); "
        "*AUC of pairs* is the detector's over pairs of a real and a fake of equal sharpness: what it knows beyond it. "
        "*Portraits only* takes as reals only those that are portraits as the fakes are. A margin around the face "
        "would look better and be worse: close portraits reach over the picture's edge, which is then repeated, and "
        "that border alone tells the sources apart.",
        "## Which layers",
        "A probe on each layer as served, fitted on one generator and tested on the fakes of the other: the mean of "
        "both AUCs, and in brackets the same against faces of real videos, a source that it was not fitted on. Inner "
        "layers tell an unknown generator from known sources of reals, and fail against reals from elsewhere: what "
        "they know is the source. Chosen is what holds against both. Files that *Across generators* tests on are not "
        "in it, but for the videos, which took part in choosing.",
        _layers(report),
        "## Does it separate?",
        "Across generators: fitted on one, tested on the other, on files that no layer was chosen by.",
        _separations(report.across),
        f"Within one generator: {len(report.folds)} generators, each by folds over files.",
        _separations(report.folds),
        "The head that is shipped, fitted on both generators, on unseen files of them:",
        _separations(report.held_out),
        f"Calibration error on unseen files: {report.calibration_error_before:.3f} before, "
        f"{report.calibration_error:.3f} after Platt scaling on the calibration part.",
        "## Robustness",
        "Fakes against reals of the test part (at most 300 of each), degraded at the model's resolution.",
        _table(
            ("degradation", "AUC", "reals above threshold", "fakes above threshold"),
            (
                (r.name, f"{r.auc:.3f}", f"{r.false_positives:.1%}", f"{r.true_positives:.1%}")
                for r in report.robustness
            ),
        ),
        "## Thresholds",
        "Chosen for a rate of false positives on the calibration part; what they then do on the test part, as served.",
        _table(
            ("target", "threshold", "reals above", "fakes above"),
            (
                (
                    f"{p.target_false_positives:.1%}",
                    f"{p.threshold:.3f}",
                    f"{p.false_positives:.1%}",
                    f"{p.true_positives:.1%}",
                )
                for p in report.operating_points
            ),
        ),
        "## At the threshold, as served",
        _rates(report.groups_served),
        "Video faces, the largest of each of evenly spread frames. The fakes here are face swaps: the detector "
        "need not fire.",
        _rates(report.videos),
        _astronaut(report),
        "## Speed",
        f"{report.machine}, a crop at a time: {_speeds(report.speed)}; with all layers {_speeds(report.whole_speed)}.",
        "## Limits",
        "* Two generators of faces only. On one it has not seen, expect the figures of *Across generators*, or less.\n"
        "* Fakes here are portraits and reals are mixed photographs: part of what it learnt may be the kind of "
        "picture.\n"
        "* The threshold rests on few reals; set it anew on your own traffic before blocking by it.\n"
        "* On processors without VNNI slower kernels are used, since sums of eight bits overflow there; scores still "
        "move a little (`fleet models golden --check` says how much).",
    )


_FACE_DETECTORS = {
    Family.CENTERFACE: "CenterFace (Xu et al. 2019, arXiv 1911.03599)",
    Family.YUNET: "YuNet (Wu et al. 2023, https://doi.org/10.1007/s11633-023-1423-y)",
}


def face_card(report: FaceReport, entry: Entry) -> str:
    """The card of the face detector, Markdown."""
    return _document(
        f"# {entry.name} {entry.version}: where are faces?",
        f"{_FACE_DETECTORS[entry.family]}: a small anchor-free detector of faces and five landmarks. Decoding "
        "and suppression are ours (`models/faces.py`). Written by `fleet models measure-faces` from "
        f"`{entry.name}.json`.",
        "## Facts",
        _table(
            ("", ""),
            (
                ("weights", f"`{_source(entry)}`, sha256 `{entry.source.sha256[:16]}…`, fp32, {entry.licence}"),
                ("input", f"{entry.input.colour}, 0-255, any size; sides filled up to multiples of 32"),
                (
                    "output",
                    "boxes, scores 0-1, landmarks: eyes, nose, mouth corners, left before right",
                ),
                ("threshold", f"score {report.min_score}, suppression at overlap {report.max_overlap}"),
            ),
        ),
        "## Recall",
        "Share of pictures with at least one face found; all show a face. Close-ups that fill the picture are what "
        "is missed.",
        _table(
            ("folder", "pictures", "with a face", "recall", "median size, px"),
            ((r.name, r.files, r.found, f"{r.found / r.files:.1%}", round(r.median_side_px)) for r in report.recall),
        ),
        "## Speed",
        f"A frame of {report.width} x {report.height}, {report.machine}.",
        _table(
            ("threads", "frames a run", "ms a frame"),
            ((s.threads, s.items, f"{s.ms_an_item:.1f}") for s in report.speed),
        ),
    )


def _document(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _separations(separations: Iterable[Separation]) -> str:
    return _table(
        ("", "reals", "fakes", "AUC", "95 %", "size", "sharpness", "AUC of pairs", "pairs"),
        (
            (
                s.name,
                s.reals,
                s.fakes,
                f"{s.auc:.3f}",
                f"{s.low:.3f}-{s.high:.3f}",
                f"{s.size_auc:.2f}",
                f"{s.sharpness_auc:.2f}",
                "-" if s.matched_auc is None else f"{s.matched_auc:.3f}",
                s.pairs,
            )
            for s in separations
        ),
    )


def _layers(report: FitReport) -> str:
    """One line for each block of the encoder, then those that are served together."""
    trials = {trial.tokens: f"{fmean(trial.auc):.3f} ({fmean(trial.elsewhere):.3f})" for trial in report.layers}
    blocks: dict[str, list[str]] = {}
    for tokens, figures in trials.items():
        if len(tokens) == 1:
            blocks.setdefault(tokens[0].partition(" ")[0], []).append(figures)
    lines = [_table(("after block", "cls", "mean", "max"), ([name, *figures] for name, figures in blocks.items()))]
    for trial in report.layers:
        if len(trial.tokens) > 1:
            each = ", ".join(f"{name} {area:.3f}" for name, area in zip(report.generators, trial.auc, strict=True))
            lines.append(f"Served together, {' and '.join(trial.tokens)}: {trials[trial.tokens]}; unseen {each}.")
    return "\n\n".join(lines)


def _layer(tokens: str) -> str:
    block, _, pooling = tokens.partition(" ")
    token = "first token" if pooling == "cls" else f"{pooling} over tokens"
    return f"{token} after block {block} of 12"


def _speeds(speeds: Iterable[Speed]) -> str:
    return ", ".join(f"{s.ms_an_item:.0f} ms on {s.threads} thread{'s' * (s.threads > 1)}" for s in speeds)


def _rates(rates: Iterable[Rate]) -> str:
    return _table(
        ("", "label", "faces", "above threshold", "median probability"),
        ((r.name, "fake" if r.fake else "real", r.faces, f"{r.above_threshold:.1%}", f"{r.median:.3f}") for r in rates),
    )


def _astronaut(report: FitReport) -> str:
    if report.astronaut is None:
        return "scikit-image's astronaut (a real photograph): not measured."
    return f"scikit-image's astronaut (a real photograph): probability {report.astronaut:.3f}."


def _source(entry: Entry) -> str:
    source = entry.source
    return f"{source.requirement}:{source.member}" if source.kind == "wheel" else source.kind


def _input(entry: Entry) -> str:
    spec = entry.input
    enlarged = f", enlarged to {spec.enlarge_to} in the graph" if spec.enlarge_to else ""
    return f"face box made square, margin {spec.crop.margin:g}, {spec.size} px {spec.colour}{enlarged}"
