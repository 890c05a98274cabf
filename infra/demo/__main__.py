"""python -m infra.demo: what `make demo` runs."""

import sys

from infra.commandline import exit_status


def main() -> int:
    def run() -> None:
        from infra.demo import story  # takes a second, in which Ctrl-C is to end in a line, too

        story.run()

    return exit_status(run, "`make demo` may be run again")


if __name__ == "__main__":
    sys.exit(main())
