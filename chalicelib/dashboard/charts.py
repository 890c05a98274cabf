"""Computes the positions and sizes of the bars in charts. The templates draw the charts as SVG.

Horizontal positions and sizes are percentages, so a chart fills the available width. Vertical positions and sizes are
pixels, so the text of a chart keeps its size.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

QUARTERS = ("q1", "q2", "q3", "q4")
COLUMNS_HEIGHT = 180  # the height of the tallest column in px
ROW_HEIGHT = 46  # the height in px of the name and the bar of a department
MAX_YEARS_BY_QUARTER = 4
MAX_COLUMNS = 40


@dataclass(frozen=True)
class Bar:
    """Describes a column, or a horizontal bar.

    The meaning of the numbers depends on the function that made the bar:

    - Bars of `columns()`: `at` is x and `size` is the width, both in %. `length` is the height in px.
    - Bars of `rows()`: `at` is y in px, and `size` is the width in %.
    - Bars of `shares()`: `at` is x and `size` is the width, both in %.

    `starts_group` is the year of a column if it is the first column of that year.
    """

    label: str
    value: int
    at: float
    size: float
    length: float
    starts_group: str = ""


def columns(years: Sequence[Mapping[str, int]]) -> list[Bar]:
    """Return hires as columns: one for each quarter if the years are few, otherwise one for each of the newest 40
    years.

    `years` are {"year", "q1", …, "q4"}, oldest first.
    """
    counts: list[tuple[str, str, int]]  # the year, the label and the value of each column
    if len(years) <= MAX_YEARS_BY_QUARTER:
        counts = [(str(y["year"]), name.upper(), y[name]) for y in years for name in QUARTERS]
    else:
        counts = [("", str(y["year"]), sum(y[name] for name in QUARTERS)) for y in years[-MAX_COLUMNS:]]
    if not counts:
        return []
    most = max(value for *_, value in counts) or 1
    step = 100 / len(counts)
    seen: set[str] = set()
    bars = []
    for index, (group, label, value) in enumerate(counts):
        first = group if group not in seen else ""
        seen.add(group)
        height = COLUMNS_HEIGHT * value / most
        bars.append(
            Bar(label, value, round(index * step + step * 0.15, 3), round(step * 0.7, 3), round(height, 1), first)
        )
    return bars


def rows(departments: Sequence[Mapping[str, Any]], mean: float | None) -> tuple[list[Bar], float | None]:
    """Return one bar for each department, from top to bottom. Also return the position of the mean in %.

    `departments` are {"department", "hired"}."""
    if not departments:
        return [], None
    most = max(d["hired"] for d in departments)
    bars = [
        Bar(d["department"], d["hired"], index * ROW_HEIGHT, round(100 * d["hired"] / most, 3), 0)
        for index, d in enumerate(departments)
    ]
    return bars, None if mean is None else round(100 * mean / most, 3)


def shares(counts: Iterable[tuple[str, int]]) -> list[Bar]:
    """Return the parts of a whole as bars side by side. Parts of zero are left out."""
    present = [(name, count) for name, count in counts if count]
    total, at, bars = sum(count for _, count in present), 0.0, []
    for name, count in present:
        size = 100 * count / total
        bars.append(Bar(name, count, round(at, 3), round(size, 3), 0))
        at += size
    return bars
