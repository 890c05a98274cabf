"""Runs the tests of files, requests and restores with other datasets, in a copy of this checkout."""

from pathlib import Path

from chalicelib.core.datasets import DATASETS
from tests.checkouts import passes
from tests.other.checkout import other_checkout

TESTS = (
    "tests/integration/test_model.py",
    "tests/integration/ingest/test_dialects.py",
    "tests/integration/ingest/test_levels_of_parents.py",
    "tests/integration/backups/test_roundtrip.py",
    "tests/fuzz/test_fuzz.py::test_thousands_of_inputs_from_a_seed_are_accounted_for",
)
# The tests of one of Hireflow's own datasets run in this checkout.
OF_OTHERS = f"not ({' or '.join(DATASETS)})"


def test_files_requests_and_restores_work_with_other_datasets(tmp_path: Path) -> None:
    passes(other_checkout(tmp_path), "pytest", "-q", "-p", "no:cacheprovider", "-k", OF_OTHERS, *TESTS)
