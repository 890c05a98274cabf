"""Starts the command line, for `hireflow` and for `python -m cli`."""

import io
import os
import sys
from contextlib import suppress


def main() -> None:
    """Run a command. The process ends with an exit status. A failed write prints one line, never a traceback."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the caller closed this stream
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open
    status: str | int | None = 0
    try:
        try:
            _run()
        except SystemExit as ended:
            status = ended.code
        sys.stdout.flush()  # if Python flushed only when it exits, a failure would show a traceback
    except KeyboardInterrupt:
        status = 130
    except OSError as error:
        _discard_output()
        # If the command failed before, its own message is enough. A closed pipe, as after `| head`, is no failure.
        if not status and not isinstance(error, BrokenPipeError):
            _report(error)
        status = status or 1
    sys.exit(status)


def _run() -> None:
    if sys.argv[1:] == ["--version"]:  # print the version before the slow imports below
        from cli.version import NAME, version

        sys.stdout.write(f"{NAME} {version()}\n")
        return
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # rows may hold characters that the terminal cannot show
    from cli.app import app

    app(prog_name="hireflow")


def _discard_output() -> None:
    """Send buffered output to the null device. Otherwise Python tries to write this output again when it exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: OSError) -> None:
    from cli.errors import unwritten

    with suppress(OSError):
        sys.stderr.write(f"error: {unwritten(error)}\n")


if __name__ == "__main__":
    main()
