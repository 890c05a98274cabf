"""Prints the progress of a command, and turns its errors into messages and an exit status.

This module imports little, so that Ctrl-C during the slow imports of a command also prints one line.
"""

import errno
import os
import sys
from collections.abc import Callable
from traceback import walk_tb

from cli.disk import REMEDY, is_full, with_remedy
from cli.errors import CommandError

RESUMABLE = "run the same command again to continue"
DECLARATIONS = "chalicelib/core/datasets.py"
_DECLARING = "CONTRIBUTING.md, Declare datasets and columns, shows what may stand there"
_REMEDIES = {
    errno.EACCES: "let this user write there, or choose another folder with HIREFLOW_STATE_DIR",
    errno.EPERM: "let this user write there, or choose another folder with HIREFLOW_STATE_DIR",
    errno.EROFS: "choose another folder with HIREFLOW_STATE_DIR",
    errno.ENOTDIR: "choose another folder with HIREFLOW_STATE_DIR",
    errno.EMFILE: "raise the limit of open files: ulimit -n",
}


def report(message: str) -> None:
    print(f"  {message}", flush=True)


def exit_status(run: Callable[[], int | None], interrupted: str = RESUMABLE) -> int:
    """Call `run` and return the exit status of the command.

    The status is what `run` returns, 1 for a CommandError or any other exception, and 130 for Ctrl-C. Each failure
    prints one line; the line for Ctrl-C ends with `interrupted`. If the program that reads standard output has ended,
    as in `make status | head`, the status is 1 without a message.
    """
    try:
        status = run() or 0
        print(end="", flush=True)  # if Python flushed only when it exits, a failure would show a traceback
        return status
    except CommandError as error:
        return _failed(with_remedy(str(error)))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it exits
        return 1
    except OSError as error:
        return _failed(_of_machine(error))
    except KeyboardInterrupt:
        print(f"interrupted: {interrupted}", file=sys.stderr)
        return 130
    except Exception as error:
        if _is_invalid_declaration(error):
            return _failed(f"{DECLARATIONS}: {error}")
        if line := _line_of_declarations(error):
            message = error.msg if isinstance(error, SyntaxError) else error
            return _failed(f"{DECLARATIONS}, line {line}: {message}: {_DECLARING}")
        # a defect of Hireflow: print its place, so that users can report it
        return _failed(f"unforeseen {type(error).__name__}: {error} ({_place(error)})")


def _failed(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


def _is_invalid_declaration(error: Exception) -> bool:
    """Return whether the error says that a declaration of a dataset cannot work."""
    from chalicelib.core.kinds.values import InvalidDeclaration

    return isinstance(error, InvalidDeclaration)


def _line_of_declarations(error: Exception) -> int | None:
    """Return the line of `datasets.py` that Python cannot run, such as a misspelt kind, or None for other errors."""
    if isinstance(error, SyntaxError):
        return error.lineno if (error.filename or "").endswith(DECLARATIONS) else None
    for frame, line in walk_tb(error.__traceback__):
        if frame.f_code.co_filename.endswith(DECLARATIONS) and frame.f_code.co_name == "<module>":
            return line
    return None


def _place(error: BaseException) -> str:
    """Return the file and line that raised the error."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{os.path.basename(frame.tb_frame.f_code.co_filename)}:{frame.tb_lineno}" if frame else "?"  # noqa: PTH119


def _of_machine(error: OSError) -> str:
    """Return the message for an error of the operating system, with a remedy if one is known."""
    failure = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    remedy = REMEDY if is_full(error) else _REMEDIES.get(error.errno or 0)
    return f"{failure}: {remedy}" if remedy else failure
