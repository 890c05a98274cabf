"""Prints the output of the demo: headings, values, reasons of rejects, and a line of progress."""

import re
import shutil
import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO

from cli.text import printable
from infra.progress import QUIET

Row = dict[str, Any]
_NUMBER = re.compile(r"(?<=_id )\d+(?= does not exist)")
_WIDEST = 64  # characters of a cell


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def say(text: str) -> None:
    print(text, flush=True)


def cell(value: Any) -> str:
    """Return a value as one printable line without control characters, truncated if it is long."""
    shown = printable("" if value is None else str(value))
    return shown if len(shown) <= _WIDEST else shown[: _WIDEST - 3] + "..."


def rejects_by_reason(rejects: Iterable[Row], examples: int = 2) -> list[tuple[int, str, list[Row]]]:
    """Return (count, reason, a few rejects) for each reason, most frequent first.

    A reject with several reasons counts for each of them.
    """
    groups: dict[str, list[Row]] = {}
    for reject in rejects:
        for reason in dict.fromkeys(_NUMBER.sub("N", reason) for reason in reject["reasons"]):
            groups.setdefault(reason, []).append(reject)
    ranked = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return [(len(found), reason, found[:examples]) for reason, found in ranked]


class Live:
    """Shows a state that changes. A terminal shows one line that is rewritten; other outputs get one line per change.

    Without a change, other outputs get the line again after `quiet` seconds.
    """

    def __init__(self, out: TextIO | None = None, quiet: float = QUIET) -> None:
        self._out, self._quiet = out or sys.stdout, quiet
        self._live = self._out.isatty()
        self._began = self._shown_at = time.monotonic()
        self._last = ""

    def show(self, state: str, detail: str = "") -> None:
        """Show the state. `detail` is shown only on terminals, because it may change with every call."""
        if self._live:
            line = f"  {detail}{time.monotonic() - self._began:5.1f} s  {state}"
            self._out.write(f"\r\x1b[2K{line[: shutil.get_terminal_size().columns - 1]}")  # no wrapping
        elif state != self._last or time.monotonic() >= self._shown_at + self._quiet:
            self._out.write(f"  {state}\n")
            self._shown_at = time.monotonic()
        self._last = state
        self._out.flush()

    def end(self) -> None:
        if self._live:
            self._out.write("\n")
            self._out.flush()
