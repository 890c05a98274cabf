"""python -m tests.faults [--faults N]: run the long form of the fault test, as `make faults` does."""

import argparse
import sys
import time
from dataclasses import replace

from tests.faults.stage import deployed
from tests.faults.witness import LONG, Form, run, seed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=LONG.faults, help="number of faults; default: %(default)s")
    args = parser.parse_args()
    print(f"seed {seed()} (set HIREFLOW_FAULT_SEED to choose another one)", flush=True)
    with deployed(seed(), LONG.timeout) as stage:
        outcome = run(stage, seed(), _of(args.faults), _report)
    print(*outcome.lines(), sep="\n", flush=True)
    return 1 if outcome.violations else 0


def _of(faults: int) -> Form:
    """Return the long form with `faults` faults. The number of outages grows or shrinks in the same proportion."""
    outages = {kind: max(1, count * faults // LONG.faults) for kind, count in LONG.outages.items()}
    return replace(LONG, faults=faults, outages=outages)


def _report(what: str) -> None:
    print(time.strftime("%H:%M:%S"), what, flush=True)


if __name__ == "__main__":
    sys.exit(main())
