"""python -m infra.local COMMAND …: the commands behind `make`."""

import sys

from infra.commandline import exit_status


def main(arguments: list[str] | None = None) -> int:
    def run() -> int | None:
        from infra.local import interface  # takes a second, in which Ctrl-C is to end in a line, too

        return interface.run(arguments)

    return exit_status(run)


if __name__ == "__main__":
    sys.exit(main())
