"""What can go wrong between the fleet and a live server."""


class BlockingError(Exception):
    """Base of the errors of blocking."""


class LiveServerAway(BlockingError):
    """A live server does not answer, or answers that it cannot now."""


class LiveServerRefused(BlockingError):
    """A live server does not let the fleet in, asks it to wait, or does not know what it asks."""


class AnswerUnexpected(BlockingError):
    """A live server answers something else than its documents say."""


class QuestionMalformed(BlockingError):
    """What came to the door is not what a live server of its kind asks."""
