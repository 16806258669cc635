"""What an exit code of `fleet` means, and which error ends with which."""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """How a command ended. The numbers are a contract: scripts branch on them."""

    meaning: str

    OK = 0, "Done, and nothing was found that was to fail the command."
    UNEXPECTED = 1, "An error that nobody foresaw: a bug. It shows its traceback."
    USAGE = 2, "Wrong command line: unknown option, missing argument, no such file."
    SETTINGS_INVALID = 3, "A setting of fleet.yaml or FLEET_* cannot be; it is named."
    UNAVAILABLE = 4, "Kafka, Redis, Postgres or a source of models is away, or refuses."
    MODELS_INVALID = 5, "A model cannot be used: missing, wrong checksum, not loadable."
    MEDIA_UNREAD = 6, "Media could not be judged: unreachable, undecodable, unsupported."
    MANIPULATED = 7, "With --fail-on manipulated: a verdict says manipulated."
    TIMED_OUT = 8, "No verdict came in the time given."
    AGENT_STOPPED = 9, "An agent stopped by itself or died."
    STACK_FAILED = 10, "A server of the embedded stack did not start; its log is shown."
    DATABASE_INVALID = 11, "A migration failed, or an applied one has changed since."
    DEMO_INCOMPLETE = 12, "The demo's verdicts and the rows in Postgres are not the same."
    INTERRUPTED = 130, "Ctrl-C; everything that was started has been put away."
    TERMINATED = 143, "SIGTERM; everything that was started has been put away."

    def __new__(cls, number: int, meaning: str) -> Self:
        """Make a member that carries its meaning."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.meaning = meaning
        return member


class CommandFailed(Exception):
    """A command cannot do what it was asked, for a reason that no other package has an error for."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


CODES = {
    "agents.settings.SettingsInvalid": ExitCode.SETTINGS_INVALID,
    "agents.evidence_store.EvidenceError": ExitCode.SETTINGS_INVALID,
    "agents.notifying.signing.SecretUnusable": ExitCode.SETTINGS_INVALID,
    "agents.runtime.exceptions.Unavailable": ExitCode.UNAVAILABLE,
    "agents.runtime.exceptions.AgentStopped": ExitCode.AGENT_STOPPED,
    "agents.migrations.MigrationFailed": ExitCode.DATABASE_INVALID,
    "agents.placement.DevicesInvalid": ExitCode.USAGE,
    "agents.demo.exceptions.ExtraMissing": ExitCode.USAGE,
    "agents.demo.exceptions.VerdictsLate": ExitCode.TIMED_OUT,
    "agents.demo.exceptions.LiveDemoLate": ExitCode.TIMED_OUT,
    "agents.demo.exceptions.LiveServerMissing": ExitCode.USAGE,
    "agents.demo.exceptions.DemoError": ExitCode.DEMO_INCOMPLETE,
    "agents.local.exceptions.LocalStackError": ExitCode.STACK_FAILED,
    "models.exceptions.SourceUnavailable": ExitCode.UNAVAILABLE,
    "models.exceptions.PolicyError": ExitCode.SETTINGS_INVALID,
    "models.exceptions.ModelError": ExitCode.MODELS_INVALID,
    "topics.exceptions.UnknownTopic": ExitCode.USAGE,
    "topics.exceptions.NotPublishable": ExitCode.USAGE,
    "topics.exceptions.TopicError": ExitCode.UNAVAILABLE,
}
"""By full name, so that no command imports what it does not use."""


def exit_code(error: BaseException) -> ExitCode | None:
    """Return the code for a typed error of the project, by the nearest class that has one.

    None for an error that nobody foresaw.
    """
    if isinstance(error, CommandFailed):
        return error.code
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__)
    return next((CODES[name] for name in names if name in CODES), None)
