"""python -m infra.migration NAME [TABLE.COLUMN or TABLE …]: the program that `make migration` runs."""

import sys

from infra.commandline import exit_status


def main() -> int:
    def run() -> None:
        from infra.migration import command  # this import takes a second, and Ctrl-C in it must print one line, too

        command.run(*sys.argv[1:])

    return exit_status(run, "run the command again to start over")


if __name__ == "__main__":
    sys.exit(main())
