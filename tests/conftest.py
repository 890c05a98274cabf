"""Options of the whole suite."""

import gc

import pytest
from hypothesis import settings

settings.register_profile("long", max_examples=20_000, deadline=None)  # make fuzz; the default is hypothesis's own


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stage",
        help="run tests/e2e against this stage, which is up, and EMPTY its tables; default: a cloud of their own",
    )


def pytest_collection_finish() -> None:
    """Leave the modules out of garbage collection: with all of them, each full collection takes a tenth of a second."""
    gc.collect()
    gc.freeze()
