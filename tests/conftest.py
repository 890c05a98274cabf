"""Options of the whole suite."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stage",
        help="run tests/e2e against this stage, which is up, and EMPTY its tables; default: a cloud of their own",
    )
