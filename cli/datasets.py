"""Declares the datasets and their names. A test compares the declarations with chalicelib/core/datasets.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dataset:
    """A dataset. Its files' names begin with `name`, its URLs contain `route`, and its rows refer to `parents`."""

    name: str
    route: str
    parents: tuple[str, ...] = ()


_DECLARED = (
    Dataset("departments", "department"),
    Dataset("jobs", "job"),
    Dataset("hired_employees", "hired_employee", ("departments", "jobs")),
)
DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _DECLARED}


def by_route(route: str) -> Dataset | None:
    """Return the dataset of this name, in the singular (`job`) or plural (`jobs`), else None."""
    return next((d for d in DATASETS.values() if route in (d.route, d.name)), None)


def by_file_name(base_name: str) -> Dataset | None:
    """Return the dataset whose name begins the file's base name, else None. The longest matching name wins."""
    matching = [d for d in DATASETS.values() if base_name.startswith(d.name)]
    return max(matching, key=lambda d: len(d.name), default=None)
