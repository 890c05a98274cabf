"""Makes the lines of a reject file.

A file may have 100,000 rejects, so a line must be cheap. The part that all lines of a load share is made only once, and
so is the part that rejects with the same content share.
"""

import base64
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from chalicelib.core.reasons import Problem
from chalicelib.core.remembered import Remembered
from chalicelib.ingest.rejects import Reject, loadable

_LINE_BREAKS = {ord(c): f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"}  # some programs end a line at these characters
_HAS_LINE_BREAK = re.compile("[\x85\u2028\u2029]").search  # much faster than to translate a text without any
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps would create a new encoder for every line
_STRING = json.encoder.encode_basestring  # an encoder would cost more for each line than the few strings
# The bytes of a record, its problems, and the values of its row: everything in a line besides the place and the time.
_Content = tuple[bytes, tuple[Problem, ...], tuple[str | None, ...] | None]


class RejectLines:
    """Makes the lines of a load's reject file. `head` has the members with which every line begins. `place` is the name
    of the member that says where the reject was."""

    def __init__(self, head: dict[str, object], place: str) -> None:
        self._begin = _on_one_line(f'{_ENCODE(head)[:-1]}, "{place}": ')
        self._known = Remembered[_Content, tuple[str, str]]()

    def line(self, reject: Reject) -> bytes:
        """Return the line for a reject, with its line end."""
        row = reject.row
        content = reject.raw, reject.problems, None if row is None else tuple(row.values())
        members = self._known.get(content)
        if members is None:
            members = _members(reject)
            self._known.remember(content, members, len(reject.raw))
        shown, base64_of_raw = members
        return f'{self._begin}{reject.place}, {shown}, "rejected_at": "{_now()}"{base64_of_raw}}}\n'.encode()

    def last(self, load_id: int, recorded: int, rejected: int) -> bytes:
        """Return the last line of a file that lacks some rejects. `recorded` is the number of rejects in the file."""
        told = {"load_id": load_id, "truncated": True, "recorded": recorded, "rejected": rejected}
        return _ENCODE(told).encode() + b"\n"


def _members(reject: Reject) -> tuple[str, str]:
    """Return the members of a line that depend only on the content of the reject, as JSON without braces: those before
    and those after the time."""
    raw = loadable(reject.raw.decode("utf-8", "replace"))
    base64_of_raw = ""
    if raw.encode() != reject.raw:
        base64_of_raw = f', "raw_base64": "{base64.b64encode(reject.raw).decode("ascii")}"'
    shown = f'{_of_problems(reject.problems)}, "raw": {_STRING(raw)}, "row": {_of_row(reject.row)}'
    return _on_one_line(shown), base64_of_raw


@lru_cache(maxsize=256)
def _of_problems(problems: tuple[Problem, ...]) -> str:
    """Return the members `reasons`, `fields` and `codes`, as JSON without braces."""
    reject = Reject(0, problems, b"", None)
    reasons = [loadable(reason) for reason in reject.reasons]
    return _ENCODE({"reasons": reasons, "fields": reject.fields, "codes": reject.codes})[1:-1]


def _of_row(row: Mapping[str, str | None] | None) -> str:
    if row is None:
        return "null"
    members = (f"{_STRING(name)}: {'null' if text is None else _STRING(loadable(text))}" for name, text in row.items())
    return f"{{{', '.join(members)}}}"


def _on_one_line(text: str) -> str:
    return text.translate(_LINE_BREAKS) if _HAS_LINE_BREAK(text) else text


def _now() -> str:
    """Return the time in the form of timestamps, with microseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{_second(seconds)}.{nanoseconds // 1000:06d}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    """Return a whole second in ISO 8601. To format the date for every line would take a tenth of the time of a
    reject."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[: -len("+00:00")]
