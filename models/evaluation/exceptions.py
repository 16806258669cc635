"""What can go wrong with an evaluation, before anything is measured and after."""


class EvaluationError(Exception):
    """Root of this package's errors."""


class LayoutInvalid(EvaluationError):
    """The labelled media are not laid out as an evaluation wants them; it says where and why."""


class ReportInvalid(EvaluationError):
    """A report or a file of training curves cannot be read, or is of another version."""


class CardIncomplete(EvaluationError):
    """A card cannot be written: the report does not speak of the model, or a text of it is missing."""
