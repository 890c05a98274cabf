"""How a command says what it does, and ends."""

import sys
from collections.abc import Callable

from cli.errors import CommandError

RESUMABLE = "the same command goes on from here"


def report(message: str) -> None:
    print(f"  {message}", flush=True)


def exit_status(run: Callable[[], int | None], interrupted: str = RESUMABLE) -> int:
    """What `run` returns, 1 for a CommandError, 130 for Ctrl-C; both are told in a line."""
    try:
        return run() or 0
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted: {interrupted}", file=sys.stderr)
        return 130
