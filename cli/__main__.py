"""The entry point of `hireflow` and of `python -m cli`."""

import io
import os
import sys
from contextlib import suppress


def main() -> None:
    """Run a command. It always ends with an exit status and at most one line, even if nothing can be written."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the caller closed it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open until the end
    status: str | int | None = 0
    try:
        try:
            _run()
        except SystemExit as ended:
            status = ended.code
        sys.stdout.flush()  # here, because a failure while Python exits would show a traceback
    except KeyboardInterrupt:
        status = 130
    except OSError as error:
        _discard_output()
        # After another failure its message is enough. A closed pipe is no failure: the reader has seen enough.
        if not status and not isinstance(error, BrokenPipeError):
            _report(error)
        status = status or 1
    sys.exit(status)


def _run() -> None:
    if sys.argv[1:] == ["--version"]:  # answered before slow imports
        from cli.version import NAME, version

        sys.stdout.write(f"{NAME} {version()}\n")
        return
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # rows may hold characters that the terminal lacks
    from cli.app import app

    app(prog_name="hireflow")


def _discard_output() -> None:
    """Send what is still buffered to the null device. Otherwise Python tries to write it again when it exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: OSError) -> None:
    from cli.errors import unwritten

    with suppress(OSError):
        sys.stderr.write(f"error: {unwritten(error)}\n")


if __name__ == "__main__":
    main()
