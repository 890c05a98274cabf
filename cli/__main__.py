"""python -m cli: what `hireflow` runs."""

import io
import os
import sys
from contextlib import suppress


def main() -> None:
    """Every way to end is an exit status and at most one line, also where nothing can be written any more."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - used until the end
    status: str | int | None = 0
    try:
        try:
            _run()
        except SystemExit as ended:
            status = ended.code
        sys.stdout.flush()  # now, since Python at its end would show a traceback
    except KeyboardInterrupt:
        status = 130
    except OSError as error:
        _give_up_output()
        if not status and not isinstance(error, BrokenPipeError):  # a failure was told, and no reader is no matter
            _tell(error)
        status = status or 1
    sys.exit(status)


def _run() -> None:
    if sys.argv[1:] == ["--version"]:  # at once, before anything is imported
        from cli.version import NAME, version

        sys.stdout.write(f"{NAME} {version()}\n")
        return
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # rows hold characters that a terminal may not have
    from cli.app import app

    app(prog_name="hireflow")


def _give_up_output() -> None:
    """Or Python tries again when it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(error: OSError) -> None:
    from cli.errors import unwritten

    with suppress(OSError):
        sys.stderr.write(f"error: {unwritten(error)}\n")


if __name__ == "__main__":
    main()
