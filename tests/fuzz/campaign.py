"""Runs many inputs from one seed, one after the other, and saves the inputs that fail."""

import sys
import traceback
from hashlib import sha256
from pathlib import Path
from random import Random

from tests.fuzz.check import check_csv
from tests.fuzz.check_avro import check_avro
from tests.fuzz.generate import CsvInput, csv_input
from tests.fuzz.generate_avro import avro_files, avro_input
from tests.fuzz.staged import Unaccounted

KEPT = Path(".fuzz")
_AVRO_EVERY = 10


def run(seed: str, inputs: int) -> tuple[int, int, int, int, int]:
    """Return five numbers: the inputs, the records in them, the files that were refused or had no records, the crashes,
    and the inputs whose result differs from the oracle's."""
    random, valid_files = Random(seed), avro_files()
    records = refused = crashes = unaccounted = 0
    for number in range(inputs):
        is_avro = number % _AVRO_EVERY == 0
        sent = CsvInput(*avro_input(random, valid_files)) if is_avro else csv_input(random)
        try:
            if is_avro:
                count = check_avro(sent.dataset, sent.data)
            else:
                count = check_csv(sent.dataset, sent.data, sent.drip, sent.declared)
            records += count
            refused += not count
        except Unaccounted:
            unaccounted += 1
            _save(sent, is_avro)
        except Exception:
            crashes += 1
            _save(sent, is_avro)
    return inputs, records, refused, crashes, unaccounted


def _save(sent: CsvInput, is_avro: bool) -> None:
    """Keep an input under a name that says what is declared about it."""
    KEPT.mkdir(exist_ok=True)
    given = (sent.declared.encoding, sent.declared.delimiter, sent.declared.dates)
    declared = "".join(f".{value!r}" for value in given if value not in (None, "iso"))
    digest = sha256(sent.data).hexdigest()[:8]
    path = KEPT / f"{sent.dataset.name}-{digest}{declared}.{'avro' if is_avro else 'csv'}"
    path.write_bytes(sent.data)
    print(f"{path}: {traceback.format_exc(limit=-1)}", file=sys.stderr, flush=True)
