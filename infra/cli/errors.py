"""What ends a command: one line for people, and the exit status for scripts.

CloudError      1  what was asked for failed
├── Refused     1  the API said no
└── Misuse      2  a wrong argument, or a setting that is missing
"""

from infra.errors import CloudError


class Misuse(CloudError):
    """What was asked for cannot be meant, or a setting is missing; nothing was sent."""


class Refused(CloudError):
    """An answer of the API that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def exit_status(error: CloudError) -> int:
    return 2 if isinstance(error, Misuse) else 1
