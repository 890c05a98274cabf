"""What the functions of this process write to their logs."""

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
        """The lines so far that have these fields."""
        found: list[dict[str, Any]] = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in found if about.items() <= line.items()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    importlib.import_module("app")  # which configures the logs when it is first imported
    heard, logger = Lines(), logging.getLogger(logs.LOGGER)
    logger.addHandler(heard.handler)
    yield heard
    logger.removeHandler(heard.handler)
