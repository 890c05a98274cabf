"""Writes the files that are generated from the declared datasets: the list of the command line, the template of the
tables in Athena, and tables in the documentation.

`make migration` and `python -m infra.datasets` write them. A test fails if one of these files is not up to date.
"""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from infra import pages
from infra.aws import lake
from infra.venv import ROOT

COMMANDS = ROOT / "cli/dataset_table.py"
_MODULE = '''\
"""The datasets: name, route and parents. `make migration` writes this file from chalicelib/core/datasets.py."""

DECLARED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
{datasets})
'''
# The routes of each dataset, and what they do
_ROUTES = (
    ("POST /{route}/upload", "stores one row"),
    ("POST /{route}/upload/batch", "stores 1 to 1000 rows"),
    (
        "GET /{route}/template.csv",
        "returns a [template](files.md#templates): a CSV file with the header and an example row; needs no token",
    ),
    ("GET /{route}/template.xlsx", "returns the same template as an Excel workbook; needs no token"),
    ("POST /{route}/backup/restore", "requests a restore"),
    ("POST /{name}/backup/restore", "the same routes under the names of the tables"),
)


def outdated() -> dict[Path, str]:
    """Return the texts that the generated files should have, by path, for all files that have another text."""
    datasets = DATASETS.values()
    readme, files, api = (path.read_text() for path in (pages.README, pages.FILES, pages.API))
    files = pages.with_table(files, "datasets", columns(datasets, "columns, in this order if a file has no header"))
    wanted = {
        COMMANDS: module(datasets),
        lake.FILE: lake.template(),
        pages.README: pages.with_table(readme, "datasets", columns(datasets, "columns")),
        pages.FILES: pages.with_table(files, "names of columns", aliases(datasets)),
        pages.API: pages.with_table(api, "routes of datasets", routes(datasets)),
    }
    return {path: text for path, text in wanted.items() if path.read_text() != text}


def module(datasets: Iterable[Dataset]) -> str:
    """Return the source of the command line's table."""
    return _MODULE.format(datasets="".join(map(_source, datasets)))


def columns(datasets: Iterable[Dataset], title: str) -> str:
    """Return a Markdown table with the columns of each dataset."""
    return _table(("dataset", title), ((d.name, _names(d.column_names)) for d in datasets))


def aliases(datasets: Iterable[Dataset]) -> str:
    """Return a Markdown table with the other names of each column."""
    named = ((d, column) for d in datasets for column in d.columns if column.aliases)
    return _table(
        ("dataset and column", "other names"), ((f"{d.name}: `{c.name}`", _names(c.aliases)) for d, c in named)
    )


def routes(datasets: Collection[Dataset]) -> str:
    """Return a Markdown table with the routes of all datasets."""
    return _table(
        ("route of each dataset", "what it does"),
        ((_names(path.format(route=d.route, name=d.name) for d in datasets), about) for path, about in _ROUTES),
    )


def _source(dataset: Dataset) -> str:
    parents = list(dict.fromkeys(parent for _, parent in dataset.references))
    texts = ", ".join(f'"{parent}"' for parent in parents) + ("," if len(parents) == 1 else "")
    return f'    ("{dataset.name}", "{dataset.route}", ({texts})),\n'


def _table(header: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    def lines() -> Iterator[str]:
        yield f"| {' | '.join(header)} |"
        yield "|---|---|"
        for row in rows:
            yield f"| {' | '.join(row)} |"

    return "\n".join(lines())


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def write() -> list[Path]:
    """Write the files that are not up to date. Return their paths."""
    texts = outdated()
    for path, text in texts.items():
        path.write_text(text)
    return [*texts]


if __name__ == "__main__":
    write()
