"""python -m bench [--full] [--only NAME …]: run the measurements, print the results, and write them to
bench/results.json."""

import argparse
import sys
import time
from collections.abc import Collection, Sequence

from bench.cases import CASES, Case, Scale
from bench.garbage import garbage
from bench.gate import gate
from bench.http import requests_per_second
from bench.load import load
from bench.other import other
from bench.results import HEAD, Result, line, machine, write_json, write_svg
from bench.rig import rig
from infra.venv import ROOT

QUICK = Scale(rows=100_000, large=500_000, huge=2_000_000, rounds=3)
FULL = Scale(rows=1_000_000, large=5_000_000, huge=20_000_000, rounds=3)
ALL: Sequence[Case] = (*CASES, other, requests_per_second, gate, garbage)
LONG: Sequence[Case] = (load,)  # only with --full or --only


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--full", action="store_true", help="use 1 to 20 million rows, for which the goals are set (25 minutes)"
    )
    parser.add_argument(
        "--only",
        nargs="*",
        metavar="NAME",
        choices=[case.__name__ for case in (*ALL, *LONG)],
        default=None,
        help="run only these measurements, and write no files",
    )
    args = parser.parse_args()
    scale = FULL if args.full else QUICK
    results: list[Result] = []
    start = time.monotonic()
    with rig() as running:
        about = machine(str(running.scalar("SHOW server_version")))
        print(f"{about['processor']}, {about['cores']} cores, Python {about['python']}, Postgres {about['postgres']}")
        print(HEAD)
        for case in (*ALL, *LONG):
            if is_wanted(case, args.full, args.only):
                for result in case(running, scale):
                    results.append(result)
                    print(line(result), flush=True)
    took = f"The measurements took {time.monotonic() - start:.0f} s."
    print(took, "The work and its limit were measured alternately, on the same Postgres.")
    if args.only is None:
        write_json(ROOT / "bench" / "results.json", about, results)
        if args.full:
            shown = [result for result in results if result.unit == "s" and result.goal is not None]
            title = "Bar: time of Hireflow / time of the limit named in the row. Mark: the goal"
            write_svg(ROOT / "docs" / "bench.svg", title, shown)
    return 0


def is_wanted(case: Case, full: bool, only: Collection[str] | None) -> bool:
    """Return whether a measurement belongs to a run with these arguments of the command line."""
    return case in ALL or full if only is None else case.__name__ in only


if __name__ == "__main__":
    sys.exit(main())
