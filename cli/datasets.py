"""Finds datasets by their names. The list of datasets is in `dataset_table`, which is generated."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cli.dataset_table import DECLARED


@dataclass(frozen=True)
class Dataset:
    """A dataset. The names of its files begin with `name`. Its rows refer to rows of `parents`. `route` is the singular
    of its name; the URLs of the API contain it."""

    name: str
    route: str
    parents: tuple[str, ...] = ()


_REST = re.compile(r"[\d\s._()+-]*")  # what may follow the singular in a file's name: digits and separators
DATASETS: dict[str, Dataset] = {name: Dataset(name, route, parents) for name, route, parents in DECLARED}


def by_route(route: str) -> Dataset | None:
    """Return the dataset of this name, in the singular (`job`) or plural (`jobs`), else None."""
    return next((d for d in DATASETS.values() if route in (d.route, d.name)), None)


def by_file_name(stem: str, folders: Sequence[str] = ()) -> Dataset | None:
    """Return the dataset of a file, None if neither its name nor a folder says the dataset.

    `stem` is the name of the file without its ending. `folders` are the names of its folders, the nearest last.

    A stem that begins with the name of a dataset, in any case, belongs to this dataset. The same holds for a
    stem that consists of the singular of a dataset and then only digits and separators. If the stem has neither form,
    the nearest of `folders` that has the name of a dataset counts.
    """
    name = stem.casefold()
    plural = [d for d in DATASETS.values() if name.startswith(d.name)]
    singular = [d for d in DATASETS.values() if name.startswith(d.route) and _REST.fullmatch(name[len(d.route) :])]
    by_folder = (DATASETS[folder] for folder in reversed(folders) if folder in DATASETS)
    longest = max(plural or singular, key=lambda d: len(d.name), default=None)
    return longest or next(by_folder, None)
