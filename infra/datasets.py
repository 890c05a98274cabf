"""Writes the files that are generated from the declared datasets.

`make migration` writes them, and so does `python -m infra.datasets`: cli/dataset_table.py, and the template of the
tables in Athena. A test fails if one of these files differs from what this command would write.
"""

from collections.abc import Iterable
from pathlib import Path

from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from infra.aws import lake
from infra.venv import ROOT

COMMANDS = ROOT / "cli/dataset_table.py"
_MODULE = '''\
"""The datasets: name, route and parents. `make migration` writes this file from chalicelib/core/datasets.py."""

DECLARED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
{datasets})
'''


def module(datasets: Iterable[Dataset]) -> str:
    """Return the source of the command line's table."""
    return _MODULE.format(datasets="".join(map(_source, datasets)))


def _source(dataset: Dataset) -> str:
    parents = list(dict.fromkeys(parent for _, parent in dataset.references))
    texts = ", ".join(f'"{parent}"' for parent in parents) + ("," if len(parents) == 1 else "")
    return f'    ("{dataset.name}", "{dataset.route}", ({texts})),\n'


def write() -> list[Path]:
    """Write the files that are not up to date. Return their paths."""
    wanted = {COMMANDS: module(DATASETS.values()), lake.FILE: lake.template()}
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in changed:
        path.write_text(wanted[path])
    return changed


if __name__ == "__main__":
    write()
