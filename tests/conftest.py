"""Options of the whole suite."""

import pytest
from hypothesis import settings

settings.register_profile("long", max_examples=20_000, deadline=None)  # make fuzz; the default is hypothesis's own


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stage",
        help="run tests/e2e against this stage, which is up, and EMPTY its tables; default: a cloud of their own",
    )
