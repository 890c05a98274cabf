"""What the demo prints: headings, tables, a line of progress."""

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
    """A value as one printable line, whatever a file held."""
    shown = printable("" if value is None else str(value))
    return shown if len(shown) <= _WIDEST else shown[: _WIDEST - 3] + "..."


def rejects_by_reason(rejects: Iterable[Row], examples: int = 2) -> list[tuple[int, str, list[Row]]]:
    """(rows, reason, a few of them), the most frequent first; a row with several reasons counts for each."""
    groups: dict[str, list[Row]] = {}
    for reject in rejects:
        for reason in dict.fromkeys(_NUMBER.sub("N", reason) for reason in reject["reasons"]):
            groups.setdefault(reason, []).append(reject)
    ranked = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return [(len(found), reason, found[:examples]) for reason, found in ranked]


class Live:
    """One line that is rewritten on a terminal; elsewhere a line for each change of `state`, and after `quiet` seconds
    without one."""

    def __init__(self, out: TextIO | None = None, quiet: float = QUIET) -> None:
        self._out, self._quiet = out or sys.stdout, quiet
        self._live = self._out.isatty()
        self._began = self._told = time.monotonic()
        self._last = ""

    def show(self, state: str, detail: str = "") -> None:
        """`detail` may change with every call and is for terminals only."""
        if self._live:
            line = f"  {detail}{time.monotonic() - self._began:5.1f} s  {state}"
            self._out.write(f"\r\x1b[2K{line[: shutil.get_terminal_size().columns - 1]}")  # a wrapped line would stay
        elif state != self._last or time.monotonic() >= self._told + self._quiet:
            self._out.write(f"  {state}\n")
            self._told = time.monotonic()
        self._last = state
        self._out.flush()

    def end(self) -> None:
        if self._live:
            self._out.write("\n")
            self._out.flush()
