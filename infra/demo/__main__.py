"""python -m infra.demo: the program behind `make demo`."""

import sys

from infra.commandline import exit_status


def main() -> int:
    def run() -> None:
        from infra.demo import story  # takes a second; Ctrl-C must end it in one line, too

        story.run()

    return exit_status(run, "you can run `make demo` again")


if __name__ == "__main__":
    sys.exit(main())
