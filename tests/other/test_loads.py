"""Runs the tests of files, requests and restores with other datasets, in a copy of this checkout."""

from pathlib import Path

import pytest

from tests.checkouts import passes
from tests.other.checkout import other_checkout

TESTS = (
    "tests/integration/test_model.py",
    "tests/integration/ingest/test_dialects.py",
    "tests/integration/ingest/test_levels_of_parents.py",
    "tests/integration/backups/test_roundtrip.py",
    "tests/integration/backups/test_restore_load.py",
    "tests/integration/backups/test_verify.py",
    "tests/fuzz/test_fuzz.py::test_thousands_of_inputs_from_a_seed_are_accounted_for",
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return other_checkout(tmp_path_factory.mktemp("other"))


@pytest.mark.parametrize("tests", TESTS)
def test_other_datasets_pass(checkout: Path, tests: str) -> None:
    passes(checkout, "pytest", "-q", "-p", "no:cacheprovider", tests)
