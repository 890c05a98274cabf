"""python -m tests.fuzz [--inputs N] [--seed SEED] [--processes P]: what `make fuzz` runs.

Nine inputs of ten are CSV files, through both paths of the reader; the rest are Avro files. An input
that fails is kept in `.fuzz/`. The last line says how many inputs there were, how many crashed a
reader, and of how many the outcome is not what the oracle says.
"""

import argparse
import sys
import time
from multiprocessing import get_context

from tests.fuzz.campaign import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    start = time.monotonic()
    shares = [(f"{args.seed}-{n}", len(range(n, args.inputs, args.processes))) for n in range(args.processes)]
    with get_context("spawn").Pool(args.processes) as pool:
        results = pool.starmap(run, shares)
    inputs, records, refused, crashes, unaccounted = (sum(column) for column in zip(*results, strict=True))
    print(
        f"seed {args.seed}, {time.monotonic() - start:.0f} s, {records} records, {refused} Avro files refused or empty"
    )
    print(f"{inputs} inputs, {crashes} crashes, {unaccounted} unaccounted")
    return 1 if crashes or unaccounted else 0


if __name__ == "__main__":
    sys.exit(main())
