"""How a command says what it does, and ends. Little is imported here: a command that is still being imported ends in
the same way."""

import errno
import os
import sys
from collections.abc import Callable

from cli.disk import REMEDY, is_full, with_remedy
from cli.errors import CommandError

RESUMABLE = "the same command goes on from here"
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
    """What `run` returns, 1 for a CommandError or a failure of this machine, 130 for Ctrl-C; each is told in a line."""
    try:
        return run() or 0
    except CommandError as error:
        return _failed(with_remedy(str(error)))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return 1
    except OSError as error:
        return _failed(_of_machine(error))
    except KeyboardInterrupt:
        print(f"interrupted: {interrupted}", file=sys.stderr)
        return 130
    except Exception as error:  # a defect of ours, told so that it can be reported
        return _failed(f"unforeseen {type(error).__name__}: {error} ({_place(error)})")


def _failed(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


def _place(error: BaseException) -> str:
    found = error.__traceback__
    while found is not None and found.tb_next is not None:
        found = found.tb_next
    return f"{os.path.basename(found.tb_frame.f_code.co_filename)}:{found.tb_lineno}" if found else "?"  # noqa: PTH119


def _of_machine(error: OSError) -> str:
    what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    remedy = REMEDY if is_full(error) else _REMEDIES.get(error.errno or 0)
    return f"{what}: {remedy}" if remedy else what
