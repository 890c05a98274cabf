"""The datasets by the names that people use for them. A test holds this to chalicelib/core/datasets.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dataset:
    """`name` begins the names of its files, `route` is its name in URLs, `parents` are datasets that it refers to."""

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
    """The dataset that is called so, singular (`job`) or plural (`jobs`)."""
    return next((d for d in DATASETS.values() if route in (d.route, d.name)), None)


def by_file_name(base_name: str) -> Dataset | None:
    """The dataset with whose name a file's base name begins; the longest such name wins."""
    matching = [d for d in DATASETS.values() if base_name.startswith(d.name)]
    return max(matching, key=lambda d: len(d.name), default=None)
