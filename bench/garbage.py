"""Measures loads of garbage: files of a megabyte without a valid row. Such a file is small, but may have hundreds of
thousands of rejects."""

from collections.abc import Iterator
from random import Random

from bench.cases import Scale
from bench.data import SEED, Shape
from bench.results import Result
from bench.rig import Rig

SIZE = 1_000_000  # bytes of each file
LIMIT = 3.0  # seconds for one file


def contents() -> dict[str, bytes]:
    """Return files of garbage by their names."""
    lines = {
        "one letter a line": b"x\n",
        "one comma too few": b"1,2,3,4\n",
        "one comma too many": b"1,2,3,4,5,6\n",
        "no valid value": b"a,b,c,d,e\n",
        "nearly empty": b",,x,,\n",
        "quotes": b'"\n',
        "quotes inside": b'x"\n',
        "NULs": b"\0\n",
        "no UTF-8": b"\xff\n",
        "CR alone": b"x\r",
    }
    files = {name: (line * (SIZE // len(line) + 1))[:SIZE] for name, line in lines.items()}
    single = {"one line of quotes": b'"', "one line of commas": b",", "blank lines": b"\n"}
    files |= {name: character * SIZE for name, character in single.items()}
    return {**files, "random bytes": Random(SEED).randbytes(SIZE)}  # noqa: S311


def garbage(rig: Rig, scale: Scale) -> Iterator[Result]:
    for name, body in contents().items():
        seconds = []
        for _ in range(min(scale.rounds, 2)):
            rig.reset(Shape())
            done = rig.ingest(body)
            load = done["load"]
            assert (load["status"], load["received"]) in (("failed", load["rejected"]), ("succeeded", 0)), load
            seconds.append(done["seconds"])
        yield Result(f"ingest of 1 MB of garbage, {name}", f"{LIMIT:g} s", seconds, [LIMIT], 1.0)
