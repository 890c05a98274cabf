"""Records the log lines that the functions write in the test process."""

import importlib
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.core import logs


class Lines:
    def __init__(self) -> None:
        self._written = io.StringIO()
        self.handler = logging.StreamHandler(self._written)
        self.handler.setFormatter(logs.Formatter())

    @property
    def text(self) -> str:
        return self._written.getvalue()

    def all(self, **about: Any) -> list[dict[str, Any]]:
        """Return the lines with these fields that have been written so far."""
        written: list[dict[str, Any]] = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in written if about.items() <= line.items()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    importlib.import_module("app")  # the first import of app configures the logs, so it must come before the test
    recorded, logger = Lines(), logging.getLogger(logs.LOGGER)
    logger.addHandler(recorded.handler)
    yield recorded
    logger.removeHandler(recorded.handler)
