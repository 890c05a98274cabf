"""Declares the datasets and their names. A test compares the declarations with chalicelib/core/datasets.py."""

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Dataset:
    """A dataset. Its files' names begin with `name`, and its rows refer to `parents`. `route` is its name in the
    singular, as in URLs."""

    name: str
    route: str
    parents: tuple[str, ...] = ()


_DECLARED = (
    Dataset("departments", "department"),
    Dataset("jobs", "job"),
    Dataset("hired_employees", "hired_employee", ("departments", "jobs")),
)
_REST = re.compile(r"[\d\s._()+-]*")
DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _DECLARED}


def by_route(route: str) -> Dataset | None:
    """Return the dataset of this name, in the singular (`job`) or plural (`jobs`), else None."""
    return next((d for d in DATASETS.values() if route in (d.route, d.name)), None)


def by_file_name(stem: str, folders: Sequence[str] = ()) -> Dataset | None:
    """Return the dataset of a file whose name, without its ending, is `stem`: the one whose name begins it in any case,
    or whose singular does with nothing but digits and separators after it, or whose name the nearest folder has."""
    name = stem.casefold()
    plural = [d for d in DATASETS.values() if name.startswith(d.name)]
    singular = [d for d in DATASETS.values() if name.startswith(d.route) and _REST.fullmatch(name[len(d.route) :])]
    by_folder = (DATASETS[folder] for folder in reversed(folders) if folder in DATASETS)
    longest = max(plural or singular, key=lambda d: len(d.name), default=None)
    return longest or next(by_folder, None)
