"""Declares two further columns of employees and the dataset `locations` in a copy of this checkout, as a user does."""

from pathlib import Path

_DATASETS = "chalicelib/core/datasets.py"
_LOCATIONS = """\
    Dataset("locations", "location", (_id(), Column("city", Kind.TEXT), Column("opened", Kind.DATE, optional=True))),
"""
_COLUMNS = """\
            Column("email", Kind.TEXT, optional=True, example="ada@example.com"),
            Column("location_id", Kind.ID, parent="locations", optional=True),
"""


def declare(checkout: Path) -> None:
    """Declare the dataset and the columns, as a user does."""
    lines = (checkout / _DATASETS).read_text().splitlines(keepends=True)
    for anchor, text in (('Dataset("jobs"', _LOCATIONS), ('Column("job_id", Kind.ID', _COLUMNS)):
        [place] = [number for number, line in enumerate(lines) if anchor in line]
        lines[place + 1 : place + 1] = [text]
    (checkout / _DATASETS).write_text("".join(lines))
