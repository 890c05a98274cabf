"""Deploys a copy of this checkout with other datasets to an embedded cloud of its own, and runs tests with that stage."""

from pathlib import Path

from tests.checkouts import passes
from tests.other.checkout import other_checkout


def test_a_stage_with_other_datasets_works(tmp_path: Path) -> None:
    checkout = other_checkout(tmp_path)
    passes(checkout, "pytest", "-q", "-p", "no:cacheprovider", "tests/e2e/test_datasets.py")
