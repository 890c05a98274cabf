"""Makes the lines of a reject file.

A file may have 100,000 rejects, so a line must be cheap. The part that all lines of a load share is made only once, and
so is the part that all rejects with the same problems share.
"""

import base64
import json
import re
from datetime import UTC, datetime
from functools import lru_cache

from chalicelib.core.reasons import Problem
from chalicelib.ingest.rejects import Reject, loadable

_LINE_BREAKS = {ord(c): f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"}  # some programs end a line at these characters
_HAS_LINE_BREAK = re.compile("[\x85\u2028\u2029]").search  # much faster than to translate a text without any
_SHORT = 40  # bytes; a file of garbage has the same few short records again and again
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps would create a new encoder for every line


class RejectLines:
    """Makes the lines of a load's reject file. `head` has the members with which every line begins. `place` is the name
    of the member that says where the reject was."""

    def __init__(self, head: dict[str, object], place: str) -> None:
        self._begin = f'{_ENCODE(head)[:-1]}, "{place}": '

    def line(self, reject: Reject) -> bytes:
        """Return the line for a reject, with its line end."""
        row = None if reject.row is None else tuple(reject.row.items())
        content = _of_short_content if len(reject.raw) <= _SHORT else _of_content
        members, base64_of_raw = content(reject.raw, row)
        at = datetime.now(UTC).isoformat(timespec="microseconds")[: -len("+00:00")]
        text = (
            f"{self._begin}{reject.place}, {_of_problems(reject.problems)}, {members},"
            f' "rejected_at": "{at}Z"{base64_of_raw}}}\n'
        )
        return (text.translate(_LINE_BREAKS) if _HAS_LINE_BREAK(text) else text).encode()

    def last(self, load_id: int, recorded: int, rejected: int) -> bytes:
        """Return the last line of a file that lacks some rejects. `recorded` is the number of rejects in the file."""
        told = {"load_id": load_id, "truncated": True, "recorded": recorded, "rejected": rejected}
        return _ENCODE(told).encode() + b"\n"


@lru_cache(maxsize=256)
def _of_problems(problems: tuple[Problem, ...]) -> str:
    """Return the members `reasons`, `fields` and `codes`, as JSON without braces."""
    reject = Reject(0, problems, b"", None)
    reasons = [loadable(reason) for reason in reject.reasons]
    return _ENCODE({"reasons": reasons, "fields": reject.fields, "codes": reject.codes})[1:-1]


def _of_content(raw: bytes, row: tuple[tuple[str, str | None], ...] | None) -> tuple[str, str]:
    """Return the members `raw` and `row`, and the member `raw_base64` or an empty text, as JSON without braces."""
    text = loadable(raw.decode("utf-8", "replace"))
    shown = None if row is None else {name: value and loadable(value) for name, value in row}
    members = _ENCODE({"raw": text, "row": shown})[1:-1]
    is_whole = text.encode() == raw
    return members, "" if is_whole else f', "raw_base64": "{base64.b64encode(raw).decode("ascii")}"'


_of_short_content = lru_cache(maxsize=1024)(_of_content)
