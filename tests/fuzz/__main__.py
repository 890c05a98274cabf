"""python -m tests.fuzz [--inputs N] [--seed SEED] [--processes P]: pass generated files through the CSV and Avro
readers, as `make fuzz` does.

Nine of ten inputs are CSV files in any dialect. They go through the fast path and the slow path of the CSV reader, in
pieces of several sizes, and through readers that stop at every token. The other inputs are Avro files. Inputs that fail
are saved in `.fuzz/`. The last line of the output has three numbers: all inputs, inputs that crashed a reader, and
inputs whose result differs from the oracle's ("unaccounted").
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
    took = time.monotonic() - start
    print(f"seed {args.seed}, {took:.0f} s, {records} records, {refused} files refused or without records")
    print(f"{inputs} inputs, {crashes} crashes, {unaccounted} unaccounted")
    return 1 if crashes or unaccounted else 0


if __name__ == "__main__":
    sys.exit(main())
