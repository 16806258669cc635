"""What can be wrong with a topic or with a message on it."""


class TopicError(Exception):
    """Base of the errors of topics and messages."""


class UnknownTopic(TopicError):
    """A topic that the catalogue does not have."""


class ProvisioningFailed(TopicError):
    """The broker refused to create or grow a topic."""


class NotPublishable(TopicError):
    """An event that no message can be made of."""


class MessageInvalid(TopicError):
    """A message that cannot be read. `reason` is one of the dead-letter reasons."""

    reason = "schema_invalid"


class NotJson(MessageInvalid):
    """The value is empty or not JSON."""

    reason = "not_json"


class SchemaUnexpected(MessageInvalid):
    """The value follows another schema than the topic's."""

    reason = "schema_unexpected"


class SchemaVersionUnsupported(MessageInvalid):
    """The value follows a version that this consumer can neither read nor upgrade."""

    reason = "schema_version"


class FrameInvalid(MessageInvalid):
    """A live frame without what says which one it is."""

    reason = "frame_invalid"


class FrameTooLarge(MessageInvalid):
    """A live frame whose still is larger than the topic takes."""

    reason = "frame_too_large"
