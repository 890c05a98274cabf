"""Writes structured logs. Each line is a JSON object with the ids of its request or load, and without personal data.

The messages of other libraries' exceptions may quote values: Postgres quotes the row that breaks a constraint, and
`int` quotes the text that it cannot parse. So above the level DEBUG, only the messages of Hireflow's own exceptions are
logged. For any other exception, the line has the type of the exception and the places in the code that raised it. If
the exception comes from Postgres, the line also has its SQLSTATE.
"""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from chalicelib.core import timestamps
from chalicelib.core.errors import HireflowError

LOGGER = "hireflow"
_FRAMES = 12  # the most exceptions that a line has, and the most stack frames of each exception
_about: ContextVar[dict[str, Any] | None] = ContextVar("about", default=None)


@contextmanager
def about(**fields: Any) -> Iterator[None]:
    """Add fields, such as request_id and load_id, to every log line that the `with` block writes. Fields that are None
    are left out."""
    given = {name: value for name, value in fields.items() if value is not None}
    token = _about.set({**(_about.get() or {}), **given})
    try:
        yield
    finally:
        _about.reset(token)


def configure(level: str) -> None:
    """Write the logs of Hireflow to standard output, where Lambda collects them."""
    logger = logging.getLogger(LOGGER)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Formatter())
    logger.handlers = [handler]
    logger.propagate = False  # Lambda's own handler would write every line again
    logger.setLevel(level)


class Formatter(JsonFormatter):
    """Formats a line as {"at", "level", "logger", "message", …, "exceptions": [{"type", "detail", "at": […]}]}."""

    def __init__(self) -> None:
        super().__init__(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={
                "asctime": "at",
                "levelname": "level",
                "name": "logger",
                "exc_info": "exceptions",
                "emf": "_aws",  # CloudWatch needs the name `_aws`; the formatter drops fields that begin with `_`
            },
        )

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002
        return timestamps.text(datetime.fromtimestamp(record.created, UTC), "milliseconds")

    def format(self, record: logging.LogRecord) -> str:
        for name, value in (_about.get() or {}).items():
            record.__dict__.setdefault(name, value)
        return super().format(record)

    def formatException(self, ei: Any) -> Any:  # noqa: N802
        """Return the exceptions, outermost first. Each exception is followed by its cause. An exception that is its
        own cause appears once."""
        verbose = logging.getLogger(LOGGER).isEnabledFor(logging.DEBUG)
        exceptions: list[dict[str, Any]] = []
        error: BaseException | None = ei[1]
        seen: set[int] = set()
        while error is not None and id(error) not in seen and len(exceptions) < _FRAMES:
            seen.add(id(error))
            exceptions.append(_described(error, verbose))
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return exceptions


def _described(error: BaseException, verbose: bool) -> dict[str, Any]:
    described: dict[str, Any] = {"type": type(error).__qualname__}
    if isinstance(error, HireflowError):
        described["detail"] = error.detail
    elif verbose:
        described["detail"] = str(error)
    server = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    if "C" in server:  # a Postgres error: log its SQLSTATE and the name of a constraint, never its message
        described |= {"sqlstate": server["C"]} | ({"constraint": server["n"]} if "n" in server else {})
    return described | {"at": _places(error.__traceback__)}


def _places(raised: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(raised)[-_FRAMES:]
    return [f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
