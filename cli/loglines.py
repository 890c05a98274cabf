"""Parses, orders and displays the lines of the functions' logs."""

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cli import moments

_PLATFORM = ("START RequestId:", "END RequestId:", "REPORT RequestId:", "INIT_START ", "EXTENSION")
_SHOWN_BEFORE = ("at", "level", "logger", "message", "exceptions", "request_id")
_FIRST, _LAST = "load_id", "correlation_id"
_METRICS = "_aws"  # CloudWatch's embedded metric format
_WINDOW = 10_000  # lines that are held back, in case an earlier line arrives after them


@dataclass(frozen=True, order=True)
class Line:
    """A line of a log. `at` is the time in UTC at which it was written. `document` is the parsed JSON, or None."""

    at: str
    function: str = field(compare=False)
    text: str = field(compare=False)
    document: Mapping[str, Any] | None = field(compare=False)

    @classmethod
    def of(cls, function: str, timestamp: int, text: str) -> "Line":
        """Parse an event of CloudWatch Logs. `timestamp` is Unix time in milliseconds."""
        text = text.rstrip("\r\n")
        document = _json(text)
        at = moments.text(datetime.fromtimestamp(timestamp / 1000, UTC))
        return cls(str((document or {}).get("at") or at), function, text, document)

    @property
    def of_platform(self) -> bool:
        """Return whether Lambda itself wrote the line, and the line reports nothing unusual."""
        return self.text.startswith(_PLATFORM) and "Status: " not in self.text

    @property
    def of_metrics(self) -> bool:
        return self.document is not None and _METRICS in self.document

    def concerns(self, wanted: Mapping[str, Any]) -> bool:
        """Return whether at least one field of the line has the wanted value."""
        return self.document is not None and any(self.document.get(name) == value for name, value in wanted.items())

    @property
    def style(self) -> str:
        level = str((self.document or {}).get("level"))
        return {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}.get(level, "")

    def shown(self) -> Iterator[str]:
        """Yield the line as people read it, and one more line for each exception in it."""
        if self.document is None:
            yield f"{self.at}  {'':<7}  {self.function:<6}  {self.text}"
            return
        document = self.document
        if self.of_metrics:
            yield f"{self.at}  {'METRIC':<7}  {self.function:<6}  {_pairs(_measured(document))}"
            return
        between = (name for name in document if name not in (*_SHOWN_BEFORE, _FIRST, _LAST))
        fields = {name: document[name] for name in (_FIRST, *between, _LAST) if document.get(name) is not None}
        head = f"{self.at}  {document.get('level', ''):<7}  {self.function:<6}  {document.get('message', '')}"
        yield f"{head}  {_pairs(fields)}".rstrip()
        for error in document.get("exceptions") or ():
            if isinstance(error, Mapping):
                place = (error.get("at") or [""])[-1]
                yield f"{'':<26}{error.get('type')}: {error.get('detail', '')} ({place})"


def in_order(lines: Iterable[Line], window: int = _WINDOW) -> Iterator[Line]:
    """Sort a stream of lines that is nearly in the order of time. Hold back at most `window` lines for this."""
    waiting: list[tuple[Line, int]] = []
    for number, line in enumerate(lines):
        heapq.heappush(waiting, (line, number))
        if len(waiting) > window:
            yield heapq.heappop(waiting)[0]
    while waiting:
        yield heapq.heappop(waiting)[0]


def _measured(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a metrics line, without the declaration of the metrics that the line also holds."""
    return {name: value for name, value in document.items() if name not in (_METRICS, *_SHOWN_BEFORE)}


def _pairs(fields: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={_value(value)}" for name, value in fields.items())


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if isinstance(value, str) and (" " in text or not text) else text


def _json(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
