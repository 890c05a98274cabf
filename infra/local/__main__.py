"""python -m infra.local COMMAND …: the commands behind `make`."""

import sys

from infra.commandline import RESUMABLE, exit_status

# The message after Ctrl-C, by command. All other commands start from the beginning when they run again.
_AFTER_CTRL_C = {"up": RESUMABLE, "down": RESUMABLE, "clean": RESUMABLE, "serve": "the server is stopped"}


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments

    def run() -> int | None:
        from infra.local import interface  # this import takes a second, and Ctrl-C in it must print one line, too

        return interface.run(arguments)

    command = arguments[0] if arguments else ""
    return exit_status(run, _AFTER_CTRL_C.get(command, "run the command again to start over"))


if __name__ == "__main__":
    sys.exit(main())
