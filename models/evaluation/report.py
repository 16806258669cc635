"""What an evaluation found, as written to `report.json`. Everything that documents, pictures and cards say is in it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.evaluation.exceptions import ReportInvalid

SCHEMA_VERSION: Literal[1] = 1
Rate = Annotated[float, Field(ge=0, le=1)]


class Kind(StrEnum):
    """What a row of the report is."""

    DETECTOR = "detector"
    FUSED = "fused"
    ARTIFACT = "artifact"
    TEMPORAL = "temporal"
    BASELINE = "baseline"

    @property
    def says_probability(self) -> bool:
        """Whether its scores are logits of a probability, so that a calibration error has a meaning."""
        return self in {Kind.DETECTOR, Kind.FUSED}


class Level(StrEnum):
    """What is ranked: pictures and frames one by one, or videos as a whole."""

    FRAME = "frame"
    VIDEO = "video"


class Judgement(StrEnum):
    """Whether a row separates fakes from reals, by the 95 % interval of its AUC."""

    SEPARATES = "separates"
    DOES_NOT = "does not separate"
    WRONG_WAY = "points the wrong way"
    TOO_FEW = "too few files to tell"


class Frozen(BaseModel):
    """A part of a report."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Estimate(Frozen):
    """A figure and its 95 % bootstrap interval, which is none where a class has a single file."""

    value: float
    low: float | None
    high: float | None


class Metrics(Frozen):
    """How well one row separates, and how honest its probabilities are."""

    auc: Estimate
    eer: Estimate
    average_precision: Estimate
    true_positives_at_1: Estimate
    """Share of fakes found where at most 1 % of the reals are taken for one."""
    true_positives_at_5: Estimate
    calibration_error_before: Estimate | None
    """Of the probabilities as shipped; none where the row says no probability, or too few files were there."""
    calibration_error_after: Estimate | None
    """On the same files, after Platt scaling on the others."""


class Bin(Frozen):
    """Probabilities of one bin of a reliability diagram, both classes counting alike."""

    said: float
    """Mean probability."""
    seen: float
    """Share of fakes."""
    share: float
    """Of all samples."""


class Shape(Frozen):
    """What is drawn of a row.

    Attributes:
        roc: false and true positive rates.
        reals: how many reals lie in each bin of probability; empty where the row says no probability.
        fakes: likewise.
        before: reliability as shipped.
        after: reliability after calibration.
    """

    roc: tuple[tuple[Rate, Rate], ...]
    reals: tuple[int, ...] = ()
    fakes: tuple[int, ...] = ()
    before: tuple[Bin, ...] = ()
    after: tuple[Bin, ...] = ()


class Result(Frozen):
    """One row on one subset.

    Attributes:
        reals: samples that were ranked; frames of a clip are several.
        real_files: files that they are of.
        turned: whether low scores were taken for fake: of a baseline, where that tells more.
        margin: AUC above that of the face's size on the same samples; none for that baseline itself.
        slope: of the Platt scaling behind `calibration_error_after`.
        bias: likewise.
        shape: of detectors, their fusion and the face's size.
    """

    subset: str
    view: str
    level: Level
    row: str
    reals: int
    fakes: int
    real_files: int
    fake_files: int
    turned: bool
    judgement: Judgement
    metrics: Metrics
    margin: Estimate | None
    slope: float | None = None
    bias: float | None = None
    shape: Shape | None = None


class Robustness(Frozen):
    """The AUC of a row after one step of degradation; files are ranked, the faces of a clip pooled."""

    subset: str
    row: str
    kind: str
    value: float
    real_files: int
    fake_files: int
    auc: Estimate


class MediaCount(Frozen):
    """The files of one label of a subset: `files` is the sum of `judged`, `unreadable` and `without_face`."""

    subset: str
    fake: bool
    files: int
    videos: int
    """Of the files."""
    judged: int
    unreadable: int
    without_face: int
    frames: int
    """Looked at."""
    faces: int
    """Found and judged."""
    median_side_px: float | None


class LeftOut(Frozen):
    """A file that could not be judged."""

    subset: str
    file: str
    why: str


class SubsetFacts(Frozen):
    """A subset, and the files beside it that were not looked at."""

    name: str
    ignored: int


class RowFacts(Frozen):
    """A row, see `models.evaluation.lineup.Row`."""

    name: str
    kind: Kind
    weight: float
    threshold: float | None


class DetectorFacts(Frozen):
    """Which model it was."""

    name: str
    version: str
    role: str
    sha256: str
    head_sha256: str | None
    preprocessing_hash: str
    threshold: float
    provider: str


class PlanFacts(Frozen):
    """How it was measured, see `models.evaluation.scoring.Plan`."""

    one_resolution: int | None
    frames: int
    limit: int | None
    robustness_files: int
    robustness_frames: int
    seed: int
    rounds: int
    top_share: float


class EvaluationReport(Frozen):
    """Everything that was found."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str
    plan: PlanFacts
    views: tuple[str, ...]
    """The first is the one that counts."""
    face_detector: str
    detectors: tuple[DetectorFacts, ...]
    rows: tuple[RowFacts, ...]
    subsets: tuple[SubsetFacts, ...]
    media: tuple[MediaCount, ...]
    left_out: tuple[LeftOut, ...]
    results: tuple[Result, ...]
    robustness: tuple[Robustness, ...]

    def result(self, subset: str, row: str, level: Level, view: str | None = None) -> Result | None:
        """Return what one row did on a subset, in the first view by default; none where nothing could be ranked."""
        wanted = (subset, row, level, view or self.views[0])
        return next((each for each in self.results if (each.subset, each.row, each.level, each.view) == wanted), None)

    def row(self, name: str) -> RowFacts | None:
        """Return the facts of a row."""
        return next((each for each in self.rows if each.name == name), None)


def read_report(path: Path) -> EvaluationReport:
    """Read a report.

    Raises:
        ReportInvalid: it cannot be read, or is of another version.
    """
    try:
        return EvaluationReport.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ReportInvalid(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "the whole"
        raise ReportInvalid(
            f"{path} is no report of version {SCHEMA_VERSION}: {where}: {first['msg']}; evaluate again"
        ) from error
