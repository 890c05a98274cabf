"""Tests that log lines are JSON, name their request or load, and contain no personal data."""

import json
import logging
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.core import logs
from chalicelib.core.errors import DatabaseUnavailable

SECRET = "Ada Lund"


@pytest.fixture
def level() -> Any:
    logger = logging.getLogger(logs.LOGGER)
    before = logger.level
    yield logger.setLevel
    logger.setLevel(before)


def written(error: BaseException | None = None, message: str = "it happened", **extra: Any) -> dict[str, Any]:
    exc_info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("hireflow.test", logging.WARNING, __file__, 1, message, (), exc_info)
    record.__dict__.update(extra)
    line = logs.Formatter().format(record)
    assert "\n" not in line
    return dict(json.loads(line))


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:
        return caught


def test_a_line_has_its_time_its_message_and_the_fields_of_its_context() -> None:
    with logs.about(request_id="r-1"), logs.about(load_id=7):
        line = written(message="two\nlines", status=200)
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "WARNING",
        "logger": "hireflow.test",
        "message": "two\nlines",
        "request_id": "r-1",
        "load_id": 7,
        "status": 200,
    }
    assert "load_id" not in written()


def test_a_line_cannot_control_a_terminal_or_reorder_its_text() -> None:
    record = logging.LogRecord("hireflow.test", logging.INFO, __file__, 1, "\x1b[2J\u202e", (), None)
    record.__dict__["source"] = "s3://landing/jobs\u202egpj.csv\u2028\x9b"
    line = logs.Formatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["source"] == record.__dict__["source"]


def test_the_message_of_a_foreign_exception_is_not_logged(level: Any) -> None:
    level("INFO")
    server = {"C": "23505", "n": "jobs_pkey", "M": f"duplicate {SECRET}", "D": f"Key (job)=({SECRET})"}
    line = written(raised(DatabaseUnavailable("gone"), raised(DatabaseError(server), raised(ValueError(SECRET)))))
    assert SECRET not in json.dumps(line)
    ours, theirs, value = line["exceptions"]
    assert (ours["type"], ours["detail"]) == ("DatabaseUnavailable", "gone")
    assert (theirs["sqlstate"], theirs["constraint"]) == ("23505", "jobs_pkey")
    assert value["type"] == "ValueError"
    assert "test_logs.py" in value["at"][-1]


def test_the_level_debug_logs_the_message_of_a_foreign_exception(level: Any) -> None:
    level("DEBUG")
    assert written(raised(ValueError(SECRET)))["exceptions"][0]["detail"] == SECRET


def test_the_context_of_an_exception_is_logged_if_it_has_no_cause() -> None:
    error = ValueError("b")
    error.__context__ = KeyError("a")
    assert [e["type"] for e in written(error)["exceptions"]] == ["ValueError", "KeyError"]


def test_an_exception_that_is_its_own_cause_is_logged_once() -> None:
    error = ValueError("a")
    error.__cause__ = error
    assert [e["type"] for e in written(error)["exceptions"]] == ["ValueError"]
