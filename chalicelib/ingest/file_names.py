"""What the name of an object says that it holds. Its content decides how it is read (`formats.file_format`)."""

import re
from dataclasses import dataclass

from chalicelib.core.datasets import DATASETS, Dataset
from chalicelib.core.errors import LoadError

TEXT_ENDINGS = (".csv", ".tsv", ".txt")
ENDINGS = (*TEXT_ENDINGS, *(f"{ending}.gz" for ending in TEXT_ENDINGS), ".xlsx", ".avro")
_SEPARATORS = re.compile(r"[\d\s._()+-]*")


@dataclass(frozen=True)
class FileName:
    """The dataset that a name tells, and its ending in lower case."""

    dataset: Dataset
    ending: str

    @classmethod
    def of(cls, key: str) -> "FileName | None":
        """Read the key of an object; None if Hireflow does not load objects of this name."""
        *folders, base_name = key.split("/")
        name = base_name.casefold()
        ending = max((ending for ending in ENDINGS if name.endswith(ending)), key=len, default=None)
        if ending is None:
            return None
        dataset = dataset_of(base_name) or _of_folder(folders)
        return cls(dataset, ending) if dataset else None

    @property
    def kind(self) -> str:
        """What a load of it is in the history, as far as the name tells."""
        return self.ending[1:] if self.ending in (".avro", ".xlsx") else "csv"


def dataset_of(base_name: str) -> Dataset | None:
    """The dataset whose name the base name of a file begins with, whatever its case; the longest such name wins.

    A dataset's singular counts, too, if nothing but digits and separators follow it: `department-2021.csv`, but not
    `job_applications.csv`.
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
    """The dataset that the nearest folder with exactly its name tells."""
    return next((DATASETS[folder] for folder in reversed(folders) if folder in DATASETS), None)


def unrecognised(key: str) -> LoadError:
    """The error for an object whose name tells no dataset or no known ending."""
    names = ", ".join(DATASETS)
    return LoadError(
        f"{key.rsplit('/', 1)[-1]!r} is not a file that Hireflow loads: its name must begin with one of {names}, or it"
        f" must lie in a folder of that name, and it must end in one of {', '.join(ENDINGS)}"
    )
