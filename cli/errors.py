"""Declares the errors that end a command. Each has a message of one line for people, and an exit status for scripts.

CommandError        1  the command failed
├── NoAnswer        1  a server sent no response
├── Refused         1  a server sent an error response
└── Misuse          2  a wrong argument, or a missing setting
"""

from cli.disk import REMEDY, is_full


class CommandError(Exception):
    """A command cannot continue. The message says why and, where possible, what to do."""


class NoAnswer(CommandError):
    """A server cannot be reached, or sends no response. `refused` is True if nothing listens at the address."""

    def __init__(self, message: str, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Refused(CommandError):
    """A server sent an error response. `detail` is the detail of the API's problem document, empty without one."""

    def __init__(self, status: int, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.status, self.detail = status, detail


class Misuse(CommandError):
    """The arguments make no sense, or a setting is missing. No request was sent."""


def unwritten(error: OSError) -> str:
    """Return the message for a failed write, for example to standard output."""
    message = error.strerror or str(error)
    return f"{message}: {REMEDY}" if is_full(error) else message


def exit_status(error: CommandError) -> int:
    return 2 if isinstance(error, Misuse) else 1
