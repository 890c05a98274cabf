"""Generates Avro files from a seed: valid ones, changed ones, and noise."""

import io
from random import Random
from typing import Any

import fastavro

from chalicelib.core.datasets import DATASETS, Dataset
from chalicelib.formats import avro
from tests.fuzz.mutate import mutated

_AVRO_TOKENS = (
    b"\0",
    b"\xff" * 10,
    b"\x80\x80\x80\x80\x01",
    b"\x02",
    b"\x01",
    b"Obj\x01",
    b"\xfe\xff\xff\xff\x0f",
    b"{",
    b"int",
)


def avro_files() -> list[tuple[Dataset, bytes]]:
    """Return valid files, which a campaign changes. For each dataset there is one file of Hireflow's writer, and one of
    fastavro in each of three codecs, with the columns in another order."""
    found = []
    rows: dict[str, list[tuple[Any, ...]]] = {
        "departments": [(1, "Sales"), (2, "Ops"), (3, " padded "), (0, "")],
        "hired_employees": [
            (7, "Jos\xe9 \U0001f389", 1_627_401_728_000_000, 1, 2),
            (8, "x" * 90, -62_135_596_800_000_000, 2, 1),
        ],
    }
    for name, table in rows.items():
        dataset, file = DATASETS[name], io.BytesIO()
        avro.write(dataset, [tuple(zip(*table, strict=True)), tuple(zip(*table[:1], strict=True))], file)
        found.append((dataset, file.getvalue()))
        reordered = avro.schema(dataset)
        reordered["fields"].reverse()
        records = [dict(zip(dataset.column_names, row, strict=True)) for row in table]
        for codec in ("null", "deflate", "bzip2"):
            other = io.BytesIO()
            fastavro.writer(other, reordered, records * 3, codec=codec, sync_interval=40)
            found.append((dataset, other.getvalue()))
    return found


def avro_input(random: Random, valid_files: list[tuple[Dataset, bytes]]) -> tuple[Dataset, bytes]:
    """Return a dataset and the bytes of a valid Avro file, of a changed one, or of a file that was never valid."""
    dataset, data = random.choice(valid_files)
    kind = random.random()
    if kind < 0.03:
        return dataset, b"Obj\x01"[: random.randrange(5)] + random.randbytes(random.randrange(100))
    if kind < 0.05:
        return dataset, data
    if kind < 0.5:  # changes only after the header, because the rows are there
        start = data.rindex(data[-16:], 0, len(data) - 16) if data.count(data[-16:]) > 1 else 0
        start = data.index(data[-16:]) if start else 0
        return dataset, data[:start] + mutated(random, data[start:], _AVRO_TOKENS)
    return dataset, mutated(random, data, _AVRO_TOKENS)
