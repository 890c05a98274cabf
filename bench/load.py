"""Measures a deployed stage under load: many callers of the API, many files at once, and both together.

`python -m bench.load [PART …]` runs only these measurements, or only some of them. For each of them, a stage with the
settings of `make up` is deployed. The times of many callers are also compared with those of a route that returns a
constant, because this ratio depends less on the machine.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench import callers
from bench.callers import Traffic
from bench.cases import Scale
from bench.data import employees
from bench.results import HEAD, Result, line
from bench.rig import Rig
from bench.stage import Files, Stage, stage
from bench.traffic import Requests, beside_constants, constant_beside, split

_SECONDS = 3.0  # seconds of one sample of requests per second
ROWS = 100_000  # rows of the table that the reports read
_LONGEST = 600.0  # seconds to wait for files that are sent beside callers


@dataclass(frozen=True)
class Size:
    """Says how much is measured: for how many seconds callers send requests, how many rows the large file has, and how
    often a measurement is repeated."""

    seconds: float
    rows: int
    rounds: int


SHORT, FULL = Size(20, 500_000, 2), Size(60, 1_000_000, 3)


def many_callers(on: Stage, size: Size) -> Iterator[Result]:
    """Let 20 and 200 callers send requests to a warm stage, then 200 callers to the same stage after a restart."""
    for count in (10, 50, 100, 200):
        callers.call_for(on.url, Requests(on.url).mixed, count, 5.0)  # starts workers
    for count, goal in ((200, 2.0), (20, 0.3)):
        warm = callers.call_for(on.url, Requests(on.url).mixed, count, size.seconds)
        constant = constant_beside(on.url, warm, count, size.seconds / 3)
        name = f"{count} callers"
        yield from _of_traffic(name, warm, goal)
        limits = [constant.percentile(0.99)]
        yield Result(f"{name}: p99 of reads", "p99 of a constant", [warm.percentile(0.99, "GET")], limits)
        yield Result(f"{name}: requests per second", "a constant", [warm.rate], [constant.rate], unit="/s")
        yield Result(f"{name}: work of the callers", "one processor", [warm.cpu / warm.seconds], [1.0], unit="")
    on.restart()
    cold = callers.call_for(on.url, Requests(on.url).mixed, 200, size.seconds)
    yield from _of_traffic("200 callers, cold", cold, 5.0)


def _of_traffic(name: str, traffic: Traffic, goal: float) -> Iterator[Result]:
    yield Result(f"{name}: p99 of reads", f"{goal:g} s", [traffic.percentile(0.99, "GET")], [goal], 1.0)
    yield from _of_failures(name, traffic)


def _of_failures(name: str, traffic: Traffic) -> Iterator[Result]:
    kinds = ", ".join(f"{kind}: {number}" for kind, number in traffic.failed.items())
    work = f"{name}: failed ({kinds})" if kinds else f"{name}: failed"
    yield Result(work, "one request", [traffic.failed.total()], [1.0], 0.0, unit="")
    yield Result(f"{name}: 429 and 503", "1 % of the requests", [traffic.refused], [1.0], 1.0, unit="%")


def rates(on: Stage, size: Size) -> Iterator[Result]:
    """Compare requests per second with those to a route that returns a constant, for 8, 50 and 200 callers."""
    requests = Requests(on.url)
    works: dict[str, Callable[[], callers.Request]] = {"reports": requests.report, "single uploads": requests.employee}
    for count in (8, 50, 200):
        for name, choose in works.items():
            pairs = beside_constants(on.url, choose, count, _SECONDS, size.rounds)
            ours, constants = [own.rate for own, _ in pairs], [constant.rate for _, constant in pairs]
            yield Result(f"{name} per second, {count} callers", "a constant", ours, constants, 0.7, True, "/s")


def many_files(on: Stage, size: Size) -> Iterator[Result]:
    """Compare 300 files of 1000 rows with one file of the same rows."""
    data = employees(300_000)
    files = split(data.file, 300)
    one: list[float] = []
    many: list[float] = []
    for turn in range(1 + size.rounds):
        for bodies, seconds in (([data.file], one), (files, many)):
            took = _loaded(on, bodies)
            if turn:  # the first round does not count, because it starts workers
                seconds.append(took)
    on.restart()
    cold = [_loaded(on, files)]
    work, limit = "300 files of 1000 rows", "one file of the same rows"
    yield Result(work, limit, many, one, 4.0)
    yield Result(f"{work}, cold", limit, cold, one, 8.0)


def _loaded(on: Stage, bodies: Sequence[bytes]) -> float:
    """Load files into an empty table. Return the seconds."""
    on.sql("TRUNCATE hired_employees")
    files = on.load(bodies)
    assert files.loaded == files.sent, files
    return files.seconds


def files_beside_callers(on: Stage, size: Size) -> Iterator[Result]:
    """Send 400 files while 150 callers send requests."""
    files = on.signed(split(employees(400 * 250).file, 400))
    before = on.dead_letters()
    loaded, traffic = asyncio.run(_both(on, files, 150, min(size.seconds / 4, 10)))
    lost = on.dead_letters() - before
    work = "400 files beside 150 callers"
    yield Result(f"{work}: loaded", "400 files", [loaded.loaded], [400.0], 1.0, True, unit="")
    yield Result(f"{work}: dead letters", "one file", [lost], [1.0], 0.0, unit="")
    yield from _of_failures(work, traffic)
    yield Result(f"{work}: p99 of reads", "2 s", [traffic.percentile(0.99, "GET")], [2.0])
    alone = on.load(split(employees(400 * 250).file, 400))
    assert alone.loaded == alone.sent, alone
    yield Result(work, "the files alone", [loaded.seconds], [alone.seconds])


async def _both(on: Stage, files: Sequence[callers.Request], count: int, head: float) -> tuple[Files, Traffic]:
    """Let callers begin `head` seconds before the files are sent, and end when all files are loaded."""
    ended = asyncio.Event()
    traffic = asyncio.create_task(callers.call(on.url, Requests(on.url).mixed, count, ended.is_set))
    await asyncio.sleep(head)
    loaded = await on.loading(files, _LONGEST)
    ended.set()
    return loaded, await traffic


def writes_beside_a_load(on: Stage, size: Size) -> Iterator[Result]:
    """Write rows through the API while a large file is loaded: to another dataset, and to the dataset of the file."""
    requests = Requests(on.url)
    others: list[float] = []
    same: list[float] = []
    merges: list[float] = []
    data = employees(size.rows).file
    for _ in range(size.rounds):
        on.sql("TRUNCATE hired_employees")
        callers.call_for(on.url, requests.employee, 8, 1.0)  # starts workers
        other, own, merge = asyncio.run(_beside(on, data, requests))
        for traffic in (other, own):
            assert not traffic.failed, traffic.failed
            assert not traffic.refused, traffic.refused
        others.append(other.percentile(0.99))
        same.append(own.percentile(1.0))
        merges.append(merge)
    rows = f"{size.rows // 1000}k rows"
    yield Result(f"write beside a load of {rows}: p99", "1 s", others, [1.0], 1.0)
    yield Result(f"longest write to the dataset of a load of {rows}", "merge of the load", same, merges, 1.1)


async def _beside(on: Stage, data: bytes, requests: Requests) -> tuple[Traffic, Traffic, float]:
    """Return the traffic to another dataset, the traffic to the dataset of the load, and the seconds of its merge."""
    ended = asyncio.Event()
    merge = asyncio.create_task(asyncio.to_thread(on.longest_lock, "hired_employees", ended.is_set))
    other = asyncio.create_task(callers.call(on.url, requests.job, 4, ended.is_set))
    own = asyncio.create_task(callers.call(on.url, requests.employee, 4, ended.is_set))
    loaded = await on.loading(on.signed([data]))
    ended.set()
    assert loaded.loaded == 1, loaded
    return await other, await own, await merge


PARTS = (many_callers, rates, many_files, files_beside_callers, writes_beside_a_load)


def load(_: Rig, scale: Scale) -> Iterator[Result]:
    """Measure all PARTS."""
    yield from measured(PARTS, FULL if scale.rows == FULL.rows else SHORT)


Part = Callable[[Stage, Size], Iterator[Result]]


def measured(parts: Sequence[Part], size: Size) -> Iterator[Result]:
    """Deploy a stage with a filled table for each part, and yield the results of the part."""
    for part in parts:
        with stage() as running:
            running.fill(ROWS)
            yield from part(running, size)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    names = {part.__name__: part for part in PARTS}
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(names)}; default: all")
    parser.add_argument("--full", action="store_true", help="measure longer, as `make bench-full` does")
    args = parser.parse_args()
    if unknown := {*args.parts} - {*names}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}: choose from {', '.join(names)}")
    print(HEAD)
    began, missed = time.monotonic(), 0
    for result in measured([names[name] for name in args.parts] or PARTS, FULL if args.full else SHORT):
        missed += result.met is False
        print(line(result), flush=True)
    print(f"The measurements took {time.monotonic() - began:.0f} s. {missed} goals were missed.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
