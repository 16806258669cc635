"""What a fit found, as written to `models/cards/clip_synthetic.json`. All AUCs are of held-out files."""

from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GroupCount(_Frozen):
    """One folder of faces and where its files went."""

    name: str
    files: int
    faces: int
    fit: int
    calibrate: int
    test: int
    median_side_px: float


class Separation(_Frozen):
    """How well scores tell fakes from reals, beside what size alone tells of the same faces."""

    name: str
    reals: int
    fakes: int
    auc: float
    low: float
    """Lower end of the 95 % bootstrap interval."""
    high: float
    size_auc: float
    """AUC of the face's size in pixels as found; below 0.5 turned round."""
    sharpness_auc: float
    """AUC of the sharpness of the crop that the model saw; below 0.5 turned round."""
    pairs: int
    """Pairs of a real and a fake of equal sharpness."""
    matched_auc: float | None
    """AUC over these pairs only, where there are any."""


class LayerTrial(_Frozen):
    """A probe on some of the encoder's layers, fitted on one generator and tested on the other, as served."""

    tokens: tuple[str, ...]
    """Such as `6 mean`: the mean over the tokens after the sixth block."""
    auc: tuple[float, ...]
    """On each generator, not seen in fitting, in the order of the report's `generators`."""
    elsewhere: tuple[float, ...]
    """The same against reals of a source that it was not fitted on: faces of real videos."""


class Robustness(_Frozen):
    """All generators against all reals of the test part, after one degradation."""

    name: str
    auc: float
    false_positives: float
    true_positives: float


class Rate(_Frozen):
    """Scores of a group's faces, as served."""

    name: str
    fake: bool
    frames: int
    faces: int
    above_threshold: float
    """Share of the faces at or above the threshold."""
    median: float
    """Median probability."""


class OperatingPoint(_Frozen):
    """What a threshold would do on the test part, as served."""

    target_false_positives: float
    """Rate on the calibration part that the threshold was chosen for."""
    threshold: float
    false_positives: float
    true_positives: float


class Speed(_Frozen):
    """Median time of a run."""

    threads: int
    items: int
    """Frames or crops given together."""
    ms_an_item: float


class FitReport(_Frozen):
    """Everything that the card says."""

    entry: str
    seed: int
    weights_sha256: str
    head_sha256: str
    preprocessing_hash: str
    regularisation: float
    views: int
    """Views of each face that the head was fitted on."""
    groups: tuple[GroupCount, ...]
    generators: tuple[str, ...]
    tokens: tuple[str, ...]
    """What of the encoder's layers is served."""
    layers: tuple[LayerTrial, ...]
    """Of each layer alone, then of those served together: on files that `across` does not test on."""
    across: tuple[Separation, ...]
    folds: tuple[Separation, ...]
    held_out: tuple[Separation, ...]
    robustness: tuple[Robustness, ...]
    calibration_error_before: float
    calibration_error: float
    target_false_positives: float
    threshold: float
    operating_points: tuple[OperatingPoint, ...]
    groups_served: tuple[Rate, ...]
    videos: tuple[Rate, ...]
    astronaut: float | None
    """Probability of scikit-image's astronaut photograph, where that package is installed."""
    machine: str
    speed: tuple[Speed, ...]
    """Of the encoder as served, a crop at a time."""
    whole_speed: tuple[Speed, ...]
    """Of the encoder with all of its layers."""


class Recall(_Frozen):
    """Pictures of a folder, all with a face, and those where one was found."""

    name: str
    files: int
    found: int
    median_side_px: float


class FaceReport(_Frozen):
    """Everything that the card of a face detector says."""

    entry: str
    min_score: float
    max_overlap: float
    recall: tuple[Recall, ...]
    width: int
    height: int
    machine: str
    speed: tuple[Speed, ...]
