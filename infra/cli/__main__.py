"""python -m infra.cli: what ./hireflow runs."""

import io
import sys


def main() -> None:
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # rows hold characters that a terminal may not have
        from infra.cli.app import app

        app(prog_name="hireflow")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
