"""python -m infra.demo: the program that `make demo` runs."""

import sys

from infra.commandline import exit_status


def main() -> int:
    def run() -> None:
        from infra.demo import story  # this import takes a second, and Ctrl-C in it must print one line, too

        story.run()

    return exit_status(run, "you can run `make demo` again")


if __name__ == "__main__":
    sys.exit(main())
