"""Formats all tables of this repository: in aligned columns for people, separated by tabs for programs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.text import printable

if TYPE_CHECKING:
    from rich.console import Console

_GAP = 2
_NARROWEST = 10  # the smallest width of a column that may be wrapped


@dataclass(frozen=True)
class Moment:
    """A time as the API writes it. People see the time to the minute; programs get the text unchanged."""

    text: str

    def __str__(self) -> str:
        return self.text[:16].replace("T", " ")


Cell = str | int | float | Moment | None


def separated(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> list[str]:
    """Return a line with the column names and a line for each row, their values separated by tabs."""
    return [with_tabs(columns), *map(with_tabs, rows)]


def with_tabs(values: Sequence[Cell]) -> str:
    return "\t".join(printable(value.text) if isinstance(value, Moment) else _shown(value) for value in values)


def aligned(
    console: "Console", columns: Sequence[str], rows: Iterable[Sequence[Cell]], flexible: Sequence[str] = ()
) -> list[str]:
    """Return the lines of a table for a console, with numbers aligned to the right.

    If the columns do not fit, the `flexible` columns are wrapped. If the table is still too wide, each value gets its
    own line.
    """
    body = list(rows)
    texts = [[_shown(value) for value in row] for row in body]
    if _needed(columns, texts, flexible) > console.width:
        return [line for row in texts for line in (*facts(console, list(zip(columns, row, strict=True))), "")][:-1]
    numeric = [bool(body) and all(isinstance(row[i], int | float) for row in body) for i in range(len(columns))]
    return _laid_out(console, columns, texts, [*flexible], numeric)


def facts(console: "Console", values: Sequence[tuple[str, Cell]]) -> list[str]:
    """Return one line for each name and value. Long values are wrapped beside their names."""
    texts = [[name, _shown(value)] for name, value in values]
    return _laid_out(console, ("", "value"), texts, ["value"], [False, False], header=False)


def _laid_out(
    console: "Console",
    columns: Sequence[str],
    rows: list[list[str]],
    flexible: list[str],
    numeric: list[bool],
    header: bool = True,
) -> list[str]:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold", show_header=header)
    for name, right in zip(columns, numeric, strict=True):
        wrapped = name in flexible
        table.add_column(
            Text(name),
            justify="right" if right else "left",
            no_wrap=not wrapped,
            overflow="fold",
            min_width=_NARROWEST if wrapped and len(columns) > 2 else None,
        )
    for row in rows:
        table.add_row(*map(Text, row))
    with console.capture() as printed:
        console.print(table)
    return [line.rstrip() for line in printed.get().splitlines()]


def _needed(columns: Sequence[str], rows: list[list[str]], flexible: Sequence[str]) -> int:
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    given = [min(width, _NARROWEST) if name in flexible else width for name, width in zip(columns, widths, strict=True)]
    return sum(given) + _GAP * (len(columns) - 1)


def _shown(value: Cell) -> str:
    return "" if value is None else printable(str(value))
