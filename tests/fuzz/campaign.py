"""Runs many inputs from one seed, one after the other, and saves the inputs that fail."""

import sys
import traceback
from hashlib import sha256
from pathlib import Path
from random import Random

from chalicelib.core.datasets import Dataset
from tests.fuzz.check import Unaccounted, check_avro, check_csv
from tests.fuzz.generate import avro_files, avro_input, csv_input

KEPT = Path(".fuzz")
_AVRO_EVERY = 10


def run(seed: str, inputs: int) -> tuple[int, int, int, int, int]:
    """Return five numbers: the inputs, the records in them, the Avro files that were refused or had no rows, the
    crashes, and the inputs whose result differs from the oracle's."""
    random, valid_files = Random(seed), avro_files()
    records = refused = crashes = unaccounted = 0
    for number in range(inputs):
        dataset, data, drip = csv_input(random)
        is_avro = number % _AVRO_EVERY == 0
        if is_avro:
            dataset, data = avro_input(random, valid_files)
        try:
            count = check_avro(dataset, data) if is_avro else check_csv(dataset, data, drip)
            records += count
            refused += is_avro and not count
        except Unaccounted:
            unaccounted += 1
            _save(dataset, data, is_avro)
        except Exception:
            crashes += 1
            _save(dataset, data, is_avro)
    return inputs, records, refused, crashes, unaccounted


def _save(dataset: Dataset, data: bytes, is_avro: bool) -> None:
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"{dataset.name}-{sha256(data).hexdigest()[:8]}.{'avro' if is_avro else 'csv'}"
    path.write_bytes(data)
    print(f"{path}: {traceback.format_exc(limit=-1)}", file=sys.stderr, flush=True)
