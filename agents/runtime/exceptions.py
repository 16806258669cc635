"""What can go wrong with a message, with what a handler depends on, and with the loop itself."""


class RuntimeFault(Exception):
    """Base of the runtime's errors."""


class Reject(RuntimeFault):
    """A message that cannot be handled, now or later: it becomes a dead letter.

    `reason` is a short constant, for counting; `detail` says what was wrong with what.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Unavailable(RuntimeFault):
    """Something that the handler needs is away: the agent waits for it and nothing is dropped."""

    def __init__(self, dependency: str, detail: str) -> None:
        super().__init__(f"{dependency} is away: {detail}")
        self.dependency = dependency
        self.detail = detail


class AgentStopped(RuntimeFault):
    """The agent cannot go on; an operator has to look. Nothing unfinished was committed."""


class TooManyRejects(AgentStopped):
    """A run of dead letters without a message handled in between."""


class DeliveryFailed(AgentStopped):
    """The broker refused for good what a handler produced."""


class TopicsMissing(AgentStopped):
    """A topic that the agent consumes or produces to does not exist."""


class GroupProtocolUnsupported(RuntimeFault):
    """The broker has no KIP-848; the classic protocol is to be used."""
