"""Tests the files that are generated from the declared datasets."""

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.kinds.table import Kind
from infra import datasets

ID = Column("id", Kind.ID)
SITES = Dataset("sites", "site", (ID, Column("city", Kind.TEXT, aliases=("town", "place"))))
TRIPS = Dataset(
    "trips",
    "trip",
    (ID, Column("start_id", Kind.ID, parent="sites"), Column("end_id", Kind.ID, parent="sites", optional=True)),
)


def test_the_files_are_up_to_date() -> None:
    assert datasets.outdated() == {}, "run: python -m infra.datasets"


def test_the_command_line_knows_each_parent_once() -> None:
    names: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {}
    exec(datasets.module([SITES, TRIPS]), names)
    assert names["DECLARED"] == (("sites", "site", ()), ("trips", "trip", ("sites",)))


def test_the_documentation_has_all_columns_and_the_other_names_of_some() -> None:
    assert datasets.columns([SITES, TRIPS], "columns").splitlines()[2:] == [
        "| sites | `id`, `city` |",
        "| trips | `id`, `start_id`, `end_id` |",
    ]
    assert datasets.aliases([SITES, TRIPS]).splitlines()[2:] == ["| sites: `city` | `town`, `place` |"]
    assert (
        datasets.routes([SITES, TRIPS]).splitlines()[2]
        == "| `POST /site/upload`, `POST /trip/upload` | stores one row |"
    )
