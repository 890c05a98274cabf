"""python -m infra.deploy COMMAND --stage STAGE: the commands behind `make deploy`, `plan`, `destroy` and `unlock`."""

import sys

from infra.commandline import exit_status


def main(arguments: list[str] | None = None) -> int:
    def run() -> None:
        from infra.deploy import interface  # this import takes a second, and Ctrl-C in it must print one line, too

        interface.run(arguments)

    return exit_status(run)


if __name__ == "__main__":
    sys.exit(main())
