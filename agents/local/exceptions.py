"""What can go wrong when servers are run on this machine."""


class LocalStackError(RuntimeError):
    """Root of every error of the embedded stack."""


class MissingProgramError(LocalStackError):
    """A server's program is not installed; the message says what to install."""


class FolderError(LocalStackError):
    """The data folder cannot be used; the message names the folder and what is wrong with it."""


class ServerStartError(LocalStackError):
    """A server did not come up, or came up and ended before it answered.

    Attributes:
        server: Name of the server, as in its log file's name.
        log_tail: The last lines that the server wrote, newest last; empty when it wrote none.
    """

    def __init__(self, server: str, reason: str, log_tail: str = "") -> None:
        self.server = server
        self.log_tail = log_tail
        said = f"; its log ends with:\n{log_tail}" if log_tail else "; it wrote no log"
        super().__init__(f"{server} did not start: {reason}{said}")


class ServerNotRunningError(LocalStackError):
    """Something was asked of a server that was never started, or whose process has ended."""


class ServerStopError(LocalStackError):
    """A server's process did not end, not even by SIGKILL."""
