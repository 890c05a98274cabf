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
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps would create a new encoder for every line


class RejectLines:
    """Makes the lines of a load's reject file. `head` has the members with which every line begins. `place` is the name
    of the member that says where the reject was."""

    def __init__(self, head: dict[str, object], place: str) -> None:
        self._begin = f'{_ENCODE(head)[:-1]}, "{place}": '

    def line(self, reject: Reject) -> bytes:
        """Return the line for a reject, with its line end."""
        raw = loadable(reject.raw.decode("utf-8", "replace"))
        row = _ENCODE(reject.row and {name: text and loadable(text) for name, text in reject.row.items()})
        at = datetime.now(UTC).isoformat(timespec="microseconds")[: -len("+00:00")]
        whole = raw.encode() == reject.raw
        base64_of_raw = "" if whole else f', "raw_base64": "{base64.b64encode(reject.raw).decode("ascii")}"'
        text = (
            f'{self._begin}{reject.place}, {_of_problems(reject.problems)}, "raw": {_ENCODE(raw)}, "row": {row},'
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
