"""What commands print: plain text where nobody looks at it live, and nothing of a stranger's that moves a terminal."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.table import Table
from rich.text import Text

from infra.text import printable

Cell = str | int | float | None
_UNLIMITED = 100_000  # columns of what is no terminal: nothing is cut or broken there
_GAP = 2
_NARROWEST = 16  # a column of text that gives way to the others


class Output:
    """Standard output or standard error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.live = stream.isatty()
        width = None if self.live else _UNLIMITED
        self._console = Console(file=stream, width=width, force_terminal=self.live, highlight=False, emoji=False)

    def line(self, text: str = "", style: str = "") -> None:
        """A line as long as it is, of which strangers may have written parts."""
        self._console.print(Text(printable(text), style), soft_wrap=True)

    def raw(self, data: bytes) -> None:
        """Bytes as they are, for programs that read them."""
        self._stream.flush()
        self._stream.buffer.write(data)
        self._stream.buffer.flush()

    def json(self, value: Any) -> None:
        self._stream.write(json.dumps(value, indent=2) + "\n")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Cell]], flexible: Sequence[str] = ()) -> None:
        """Aligned columns, numbers to the right. Where they don't fit, the flexible ones are wrapped; where that is
        not enough, every row is shown as lines of its own."""
        body = [[_shown(value) for value in row] for row in rows]
        numeric = [bool(body) and all(isinstance(row[i], int | float) for row in body) for i in range(len(columns))]
        texts = [[str(value) for value in row] for row in body]
        if self._needed(columns, texts, flexible) > self._console.width:
            self._records(columns, texts)
            return
        table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
        for name, right in zip(columns, numeric, strict=True):
            wrapped = name in flexible
            table.add_column(
                Text(name),
                justify="right" if right else "left",
                no_wrap=not wrapped,
                overflow="fold",
                min_width=_NARROWEST if wrapped and self.live else None,
            )
        for row in texts:
            table.add_row(*map(Text, row))
        with self._console.capture() as printed:
            self._console.print(table)
        self._stream.write("\n".join(line.rstrip() for line in printed.get().splitlines()) + "\n")

    def facts(self, values: Mapping[str, Cell]) -> None:
        """Names and values, one to a line."""
        width = max(map(len, values), default=0)
        for name, value in values.items():
            self.line(f"{name:<{width}}  {_shown(value)}".rstrip())

    def progress(self, *columns: str | ProgressColumn) -> Progress:
        """Lines that change while something is under way, and are gone after it; nothing where that cannot be."""
        return Progress(*columns, console=self._console, transient=True, disable=not self.live)

    def _needed(self, columns: Sequence[str], rows: list[list[str]], flexible: Sequence[str]) -> int:
        widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
        given = [
            min(width, _NARROWEST) if name in flexible else width for name, width in zip(columns, widths, strict=True)
        ]
        return sum(given) + _GAP * (len(columns) - 1)

    def _records(self, columns: Sequence[str], rows: list[list[str]]) -> None:
        for number, row in enumerate(rows):
            if number:
                self.line()
            self.facts(dict(zip(columns, row, strict=True)))


def _shown(value: Cell) -> str | int | float:
    if value is None:
        return ""
    return value if isinstance(value, int | float) else printable(value)


def standard_output() -> Output:
    return Output(sys.stdout)


def standard_error() -> Output:
    return Output(sys.stderr)
