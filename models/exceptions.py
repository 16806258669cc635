"""What can go wrong with a model, from the manifest to a score."""


class ModelError(Exception):
    """Root of this package's errors; says which manifest entry and which field of it.

    Attributes:
        entry: name of the manifest entry, or of the file where no entry is to blame.
        field: dotted path of the field, such as `source.sha256`.
        problem: what is wrong with it and what to do.
    """

    def __init__(self, entry: str, field: str, problem: str) -> None:
        super().__init__(entry, field, problem)
        self.entry = entry
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.entry}: {self.field}: {self.problem}"


class ManifestError(ModelError):
    """The manifest is unreadable or holds a value that cannot be."""


class WeightsError(ModelError):
    """The bytes of a model could not be had."""


class WeightsMissing(WeightsError):
    """A file is not where the manifest says, or not in the cache of an offline worker."""


class SourceUnavailable(WeightsError):
    """The source did not deliver: no network, no such package, a refusing server. May pass."""


class WeightsTooLarge(WeightsError):
    """A file is larger than any graph can be. Nothing of it is read."""


class HashMismatch(WeightsError):
    """The bytes are not those that the manifest names. Nothing of them is used."""


class GraphInvalid(ModelError):
    """The network cannot be loaded, or has not the inputs and outputs that the manifest says."""


class GoldenMismatch(ModelError):
    """A session does not answer as its golden vector says: it must not score anything."""


class ProviderUnavailable(ModelError):
    """This machine cannot run the execution provider that was asked for."""


class NoRoom(ModelError):
    """The memory where a model should run is short of what it needs. May pass."""


class InferenceError(ModelError):
    """A batch could not be scored."""


class ShapeMismatch(InferenceError):
    """The array given has not the dtype or shape that the model takes."""


class NonFiniteScore(InferenceError):
    """The model answered NaN or infinity: an error of the model, never a verdict."""


class OutOfMemory(InferenceError):
    """The device has no memory for a batch, not even for the smallest."""


class InferenceTimeout(InferenceError):
    """A batch took longer than it may, and was ended."""


class BatcherClosed(InferenceError):
    """Submitted to a batcher that is closed, or waiting in one that failed."""


class BatcherFull(InferenceError):
    """No room in the batcher's queue within the time given."""


class CheckpointError(ModelError):
    """A checkpoint is unreadable, or has not exactly the tensors of the architecture."""


class FusionError(ModelError):
    """The learnt weights of a fusion are unreadable, or were learnt for other models."""


class PolicyError(ModelError):
    """A policy, or what chooses among policies, cannot be used; `entry` names the policy."""


class PolicyUnknown(PolicyError):
    """There is no policy of that name, or not in that version."""


class ImportIncomplete(ModelError):
    """A fact about a checkpoint that its format does not say was not given, or cannot be."""


class ExtraMissing(ModelError):
    """A package of an optional extra is needed and not installed.

    Attributes:
        extra: of the project, that installs it.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(package, "package", f"{purpose}, and is not installed: pip install 'deepfake-fleet[{extra}]'")
        self.extra = extra
