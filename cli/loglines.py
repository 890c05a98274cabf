"""Lines of the functions' logs: what each says, and how it is shown."""

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
_WINDOW = 10_000  # lines that are held back for an earlier one that arrives later


@dataclass(frozen=True, order=True)
class Line:
    """`at` is when it was written, in UTC; `said` the JSON in it, None where it is none of ours."""

    at: str
    function: str = field(compare=False)
    text: str = field(compare=False)
    said: Mapping[str, Any] | None = field(compare=False)

    @classmethod
    def of(cls, function: str, timestamp: int, text: str) -> "Line":
        """An event of CloudWatch Logs; `timestamp` in milliseconds."""
        text = text.rstrip("\r\n")
        said = _json(text)
        at = moments.text(datetime.fromtimestamp(timestamp / 1000, UTC))
        return cls(str((said or {}).get("at") or at), function, text, said)

    @property
    def of_platform(self) -> bool:
        """Whether it is Lambda's own, and tells of nothing unusual."""
        return self.text.startswith(_PLATFORM) and "Status: " not in self.text

    @property
    def of_metrics(self) -> bool:
        return self.said is not None and _METRICS in self.said

    def concerns(self, wanted: Mapping[str, Any]) -> bool:
        """Whether one of its fields is as it is wanted."""
        return self.said is not None and any(self.said.get(name) == value for name, value in wanted.items())

    @property
    def style(self) -> str:
        level = str((self.said or {}).get("level"))
        return {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}.get(level, "")

    def shown(self) -> Iterator[str]:
        """One line, and one more for each exception that it tells of."""
        if self.said is None:
            yield f"{self.at}  {'':<7}  {self.function:<6}  {self.text}"
            return
        said = self.said
        if self.of_metrics:
            yield f"{self.at}  {'METRIC':<7}  {self.function:<6}  {_pairs(_measured(said))}"
            return
        between = (name for name in said if name not in (*_SHOWN_BEFORE, _FIRST, _LAST))
        fields = {name: said[name] for name in (_FIRST, *between, _LAST) if said.get(name) is not None}
        head = f"{self.at}  {said.get('level', ''):<7}  {self.function:<6}  {said.get('message', '')}"
        yield f"{head}  {_pairs(fields)}".rstrip()
        for error in said.get("exceptions") or ():
            if isinstance(error, Mapping):
                place = (error.get("at") or [""])[-1]
                yield f"{'':<26}{error.get('type')}: {error.get('detail', '')} ({place})"


def in_order(lines: Iterable[Line], window: int = _WINDOW) -> Iterator[Line]:
    """Lines by the time they were written, of a stream that is nearly so; no more than `window` are held back."""
    waiting: list[tuple[Line, int]] = []
    for number, line in enumerate(lines):
        heapq.heappush(waiting, (line, number))
        if len(waiting) > window:
            yield heapq.heappop(waiting)[0]
    while waiting:
        yield heapq.heappop(waiting)[0]


def _measured(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a metrics line tells: all but its description."""
    return {name: value for name, value in said.items() if name not in (_METRICS, *_SHOWN_BEFORE)}


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
