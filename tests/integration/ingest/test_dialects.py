"""Tests with generated files in every dialect: a check returns exactly the result that the load then has."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.declarations import Declarations
from tests import dialects, values
from tests.dialects import Dialect
from tests.integration.checked import assert_same, checked
from tests.integration.landing import GRACE, Landing
from tests.rows import insert_parents
from tests.tables import TABLES

MIXED = st.fixed_dictionaries(
    {}, optional={"dates": st.sampled_from(["dmy", "mdy"]), "max-rejected": st.sampled_from(["0", "2", "40%"])}
)


TEXTS = st.sampled_from(["Ann", "Caf\u00e9", "NULL", "n/a", "#REF!", "", "a,b;c|d", 'say "x"', "1", "id"])
IDS = st.integers(1, 4).map(str) | st.sampled_from(["x", "", "0"])  # few ids, so that several rows have the same id


def field(column: Column) -> st.SearchStrategy[str]:
    """Generate valid values, values that are rejected, and values that cause a notice."""
    others = values.sent(column.kind) | values.doubtful(column.kind) | st.just("")
    return {"integer": IDS, "text": TEXTS}.get(values.type_of(column.kind), others)


def rows(dataset: Dataset) -> st.SearchStrategy[list[tuple[str, ...]]]:
    return st.lists(st.tuples(*map(field, dataset.columns)), max_size=6) | dialects.rows(dataset)


def file_of(dataset: Dataset, dialect: Dialect, found: list[tuple[str, ...]]) -> bytes:
    try:
        return dialects.written(dataset, found, dialect)
    except UnicodeEncodeError:  # the encoding has no letter é
        plain = [tuple(value.replace("\u00e9", "e") for value in row) for row in found]
        return dialects.written(dataset, plain, dialect)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda d: d.name)
@settings(max_examples=24, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_check_of_a_file_in_any_dialect_says_what_its_load_does(
    landing: Landing, dataset: Dataset, data: st.DataObject
) -> None:
    with landing.database.session() as session:
        session.run(f"TRUNCATE {TABLES}, loads, orphans CASCADE")
        insert_parents(session, dataset, (1, 2))
    dialect = data.draw(dialects.dialects(dataset), "dialect")
    body = file_of(dataset, dialect, data.draw(rows(dataset), "rows"))
    declared = data.draw(MIXED, "declared") | dialect.declarations.given()
    if data.draw(st.booleans(), "undeclared encoding"):
        declared.pop("encoding", None)  # then the bytes of the file are invalid, or are read as other characters
    outcome = checked(landing, dataset, body, declared=Declarations.of(declared))
    load = landing.upload(f"{dataset.name}.csv", body, grace=GRACE, **declared)
    assert_same(landing, outcome, load)
