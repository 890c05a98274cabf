"""Prints the output of commands. Control characters are escaped, so that no text can control the terminal."""

import json
import shutil
import sys
from codecs import getincrementaldecoder
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from io import IncrementalNewlineDecoder
from typing import TYPE_CHECKING, Any, TextIO

from cli import tables
from cli.tables import Cell
from cli.text import printable, printable_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

WIDTH = 80  # characters in a line of a table for people, if the output is no terminal


class Output:
    """Standard output or standard error.

    Tables are aligned on a terminal. Elsewhere their values are separated by tabs, for programs, unless the output is
    `for_people`.
    """

    def __init__(self, stream: TextIO, for_people: bool = False) -> None:
        self._stream = stream
        self.live = stream.isatty()
        self._aligned = self.live or for_people
        # A character or a line break may be split between two calls of `raw`.
        self._decoder = IncrementalNewlineDecoder(getincrementaldecoder("utf-8")("replace"), translate=True)

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line without wrapping it. Control characters in it are escaped."""
        if not self.live:
            self._stream.write(printable(text) + "\n")
            return
        from rich.text import Text

        self._console.print(Text(printable(text), style), soft_wrap=True)

    def raw(self, data: bytes) -> None:
        """Write bytes unchanged, for programs that read them. On a terminal, control characters in them are escaped."""
        if self.live:
            self._stream.write(printable_lines(self._decoder.decode(data)))
            self._stream.flush()
            return
        self._stream.flush()
        self._stream.buffer.write(data)
        self._stream.buffer.flush()

    def json(self, value: Any) -> None:
        self._stream.write(json.dumps(value, indent=2) + "\n")

    def json_line(self, value: Any) -> None:
        """Print a value as JSON on one line, and flush the output."""
        self._stream.write(json.dumps(value) + "\n")
        self._stream.flush()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Cell]], flexible: Sequence[str] = ()) -> None:
        """Print a table. `flexible` names the columns that may be wrapped."""
        if self._aligned:
            self._write(tables.aligned(self._console, columns, rows, flexible))
        else:
            self._write(tables.separated(columns, rows))

    def facts(self, values: Mapping[str, Cell]) -> None:
        """Print names and values, one pair a line."""
        if self._aligned:
            self._write(tables.facts(self._console, list(values.items())))
        else:
            self._write(map(tables.with_tabs, values.items()))

    def progress(self, *columns: "str | ProgressColumn", shown: bool = True) -> "Progress":
        """Return a progress display that disappears at the end. It shows nothing if the output is no terminal."""
        from rich.progress import Progress

        return Progress(*columns, console=self._console, transient=True, disable=not (self.live and shown))

    def _write(self, lines: Iterable[str]) -> None:
        self._stream.writelines(f"{line}\n" for line in lines)

    @cached_property
    def _console(self) -> "Console":
        from rich.console import Console

        width = None if self.live else shutil.get_terminal_size((WIDTH, 24)).columns
        return Console(
            file=self._stream, width=width, force_terminal=self.live, color_system="auto", highlight=False, emoji=False
        )


def standard_output() -> Output:
    return Output(sys.stdout)


def standard_error() -> Output:
    return Output(sys.stderr)
