"""Finds the dataset of an object by its name. How the object is read depends on its content (`formats.file_format`)."""

import re
from dataclasses import dataclass

from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadError

TEXT_ENDINGS = (".csv", ".tsv", ".txt")
ENDINGS = (*TEXT_ENDINGS, *(f"{ending}.gz" for ending in TEXT_ENDINGS), ".xlsx", ".avro")
_SEPARATORS = re.compile(r"[\d\s._()+-]*")


@dataclass(frozen=True)
class FileName:
    """The dataset of an object by its name, and the ending of this name in lower case."""

    dataset: Dataset
    ending: str

    @classmethod
    def of(cls, key: str) -> "FileName | None":
        """Read the key of an object. Return None if Hireflow does not load objects with such a name."""
        *folders, base_name = key.split("/")
        name = base_name.casefold()
        ending = max((ending for ending in ENDINGS if name.endswith(ending)), key=len, default=None)
        if ending is None:
            return None
        dataset = dataset_of(base_name) or _of_folder(folders)
        return cls(dataset, ending) if dataset else None

    @property
    def kind(self) -> str:
        """The kind of the load in the history, until the object has been read. The content may have another kind."""
        return self.ending[1:] if self.ending in (".avro", ".xlsx") else "csv"


def dataset_of(base_name: str) -> Dataset | None:
    """Return the dataset with whose name the base name of a file begins, or None. Case is ignored. If several datasets
    match, the longest name wins.

    The singular of a dataset's name counts, too, if only digits and separators follow it: `department-2021.csv` is a
    file of departments, but `job_applications.csv` is not a file of jobs.
    """
    name = base_name.casefold()
    beginning = [dataset for dataset in DATASETS.values() if name.startswith(dataset.name)]
    if beginning:
        return max(beginning, key=lambda dataset: len(dataset.name))
    stem = next((name.removesuffix(ending) for ending in sorted(ENDINGS, key=len)[::-1] if name.endswith(ending)), name)
    singular = [
        dataset
        for dataset in DATASETS.values()
        if stem.startswith(dataset.route) and _SEPARATORS.fullmatch(stem.removeprefix(dataset.route))
    ]
    return max(singular, key=lambda dataset: len(dataset.route), default=None)


def _of_folder(folders: list[str]) -> Dataset | None:
    """Return the dataset with exactly the name of a folder, or None. If several folders match, the innermost wins."""
    return next((DATASETS[folder] for folder in reversed(folders) if folder in DATASETS), None)


def unrecognised(key: str) -> LoadError:
    """Return the error for an object whose name has no dataset or no known ending."""
    names = ", ".join(DATASETS)
    return LoadError(
        f"{key.rsplit('/', 1)[-1]!r} is not a file that Hireflow loads: its name must begin with one of {names}, or it"
        f" must be in a folder of that name, and it must end in one of {', '.join(ENDINGS)}"
    )
