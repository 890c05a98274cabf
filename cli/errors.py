"""What ends a command: one line for people, and the exit status for scripts.

CommandError        1  what was asked for failed
├── NoAnswer        1  nothing came back from a server
├── Refused         1  the API said no
└── Misuse          2  a wrong argument, or a setting that is missing
"""

from cli.disk import REMEDY, is_full


class CommandError(Exception):
    """A command cannot go on; the message says why and, where known, what to do."""


class NoAnswer(CommandError):
    """A server cannot be reached, or does not answer. `refused` is whether nothing listens at its address."""

    def __init__(self, message: str, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Refused(CommandError):
    """An answer of the API that is an error; `detail` is what the API itself says about it."""

    def __init__(self, status: int, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.status, self.detail = status, detail


class Misuse(CommandError):
    """What was asked for makes no sense, or a setting is missing; nothing was sent."""


def unwritten(error: OSError) -> str:
    """What to say if something cannot be written, such as standard output."""
    said = error.strerror or str(error)
    return f"{said}: {REMEDY}" if is_full(error) else said


def exit_status(error: CommandError) -> int:
    return 2 if isinstance(error, Misuse) else 1
