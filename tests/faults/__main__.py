"""python -m tests.faults [--faults N]: the long form of the witness (`make faults`)."""

import argparse
import sys
import time
from dataclasses import replace

from tests.faults.stage import deployed
from tests.faults.witness import LONG, run, seed


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--faults", type=int, default=LONG.faults)
    args = parser.parse_args()
    print(f"seed {seed()} (HIREFLOW_FAULT_SEED)", flush=True)
    with deployed(seed(), LONG.timeout) as stage:
        outcome = run(stage, seed(), replace(LONG, faults=args.faults), _report)
    print(*outcome.lines(), sep="\n", flush=True)
    return 1 if outcome.violations else 0


def _report(what: str) -> None:
    print(time.strftime("%H:%M:%S"), what, flush=True)


if __name__ == "__main__":
    sys.exit(main())
