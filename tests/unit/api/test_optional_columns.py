"""Tests how the OpenAPI document describes columns that a row may leave out or set to null."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from chalicelib.api.openapi import upload_examples, upload_operations
from chalicelib.api.openapi.upload_schemas import row
from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.kinds.table import Kind
from chalicelib.core.rules import check_object

_ID = Column("id", Kind.ID)
TICKETS = Dataset(
    "tickets",
    "ticket",
    (
        _ID,
        Column("title", Kind.TEXT, example='Lamp, "new"'),
        Column("state", Kind.TEXT, default="open"),
        Column("urgent", Kind.BOOLEAN, default=False, example=True),
        Column("floor", Kind.ID, optional=True),
        Column("room", Kind.ID, parent="rooms", optional=True),
        Column("note", Kind.TEXT, optional=True, default="none"),
    ),
)
MARKS = Dataset("marks", "mark", (_ID, Column("text", Kind.TEXT, optional=True)))
IDS = st.sampled_from([1, "2", None, "", " ", "x", 0])
TEXTS = st.sampled_from(["a", None, "", "\t"])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": IDS,
    "title": TEXTS,
    "state": TEXTS,
    "urgent": st.sampled_from([True, "no", None, "", "maybe"]),
    "floor": IDS,
    "room": IDS,
    "note": TEXTS,
}


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_the_schema_accepts_a_row_exactly_if_the_rules_accept_it(sent: dict[str, Any]) -> None:
    faults = list(Draft202012Validator(row(TICKETS)).iter_errors(sent))
    assert bool(check_object(TICKETS, sent, id_optional=True).problems) == bool(faults)


def test_only_the_columns_that_no_row_may_leave_out_are_required() -> None:
    assert row(TICKETS)["required"] == ["title"]
    assert "required" not in row(MARKS)


def test_the_descriptions_say_what_null_and_a_left_out_column_mean() -> None:
    about = {name: schema["description"] for name, schema in row(TICKETS)["properties"].items()}
    kept = "; if the column is left out, a stored row keeps its value, and a new row gets "
    to_null = "; null or a blank text sets the column to NULL"
    assert {name: kept in text for name, text in about.items()} == {
        name: name not in ("id", "title") for name in TICKETS.column_names
    }
    assert about["state"].endswith(f"{kept}`open`")
    assert to_null not in about["state"]
    assert about["urgent"].endswith(f"{kept}`false`")
    assert about["room"].endswith(f"; a row with this id must exist in rooms{to_null}{kept}NULL")
    assert about["note"].endswith(f"{to_null}{kept}`none`")
    assert "gets a new id" not in about["floor"]


def test_a_column_without_a_description_is_described_by_its_kind() -> None:
    described = Dataset("marks", "mark", (_ID, Column("text", Kind.TEXT, about="what it says")))
    must_be = row(MARKS)["properties"]["text"]["description"].partition(";")[0]
    assert must_be == Kind.TEXT.schema()[0].partition(";")[0]
    assert row(described)["properties"]["text"]["description"].startswith(f"what it says: {must_be}")


@pytest.mark.parametrize("dataset", [TICKETS, MARKS], ids=lambda d: d.name)
def test_all_examples_keep_the_rules_except_for_the_faulty_row(dataset: Dataset) -> None:
    operation = upload_operations.upload(dataset)
    assert operation.body is not None
    examples = operation.body.examples
    assert list(examples["short"]) == [column.name for column in dataset.columns if not column.may_be_absent]
    for name, sent in examples.items():
        assert check_object(dataset, sent, id_optional=True).problems == (), name
    assert len(check_object(dataset, upload_examples.faulty_row(dataset), id_optional=True).problems) == 1


def test_an_example_of_a_file_quotes_the_values_that_need_quotes() -> None:
    assert upload_examples.csv_line(TICKETS) == '9001,"Lamp, ""new""",text,true,1,9001,text\n'


@pytest.mark.parametrize("dataset", [*DATASETS.values(), TICKETS, MARKS], ids=lambda d: d.name)
def test_an_operation_speaks_of_left_out_columns_only_if_its_dataset_has_some(dataset: Dataset) -> None:
    operation = upload_operations.upload(dataset)
    assert ("A row may leave out" in operation.about) == any(column.may_be_absent for column in dataset.columns)
