"""python -m cli: what `hireflow` runs."""

import io
import sys


def main() -> None:
    try:
        if sys.argv[1:] == ["--version"]:  # at once, before anything is imported
            from cli.version import NAME, version

            sys.stdout.write(f"{NAME} {version()}\n")
            return
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # rows hold characters that a terminal may not have
        from cli.app import app

        app(prog_name="hireflow")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
