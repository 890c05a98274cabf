"""python -m bench [--full] [--only NAME …]: every measurement, to the terminal and to bench/results.json."""

import argparse
import sys
import time

from bench.cases import CASES, Scale
from bench.gate import gate
from bench.http import requests_per_second
from bench.results import HEAD, Result, line, machine, write_json, write_svg
from bench.rig import rig
from infra.venv import ROOT

QUICK = Scale(rows=100_000, large=500_000, huge=2_000_000, rounds=3)
FULL = Scale(rows=1_000_000, large=5_000_000, huge=20_000_000, rounds=3)
ALL = (*CASES, requests_per_second, gate)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="1M to 20M rows, which the goals are for; some 25 minutes")
    parser.add_argument("--only", nargs="*", metavar="NAME", choices=[case.__name__ for case in ALL], default=None)
    args = parser.parse_args()
    scale = FULL if args.full else QUICK
    results: list[Result] = []
    start = time.monotonic()
    with rig() as made:
        about = machine(str(made.scalar("SHOW server_version")))
        print(f"{about['processor']}, {about['cores']} cores, Python {about['python']}, Postgres {about['postgres']}")
        print(HEAD)
        for case in ALL:
            if args.only is None or case.__name__ in args.only:
                for result in case(made, scale):
                    results.append(result)
                    print(line(result), flush=True)
    print(f"{time.monotonic() - start:.0f} s; the limits were measured in turn with the work, on the same Postgres")
    if args.only is None:
        write_json(ROOT / "bench" / "results.json", about, results)
        if args.full:
            shown = [result for result in results if result.unit == "s" and result.goal is not None]
            write_svg(
                ROOT / "docs" / "bench.svg", "Time of Hireflow / time of the named limit (bar), goal (mark)", shown
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
