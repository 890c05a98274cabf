"""Tests with generated values that all forms of a value mean the same."""

import io
import re
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from chalicelib.core.kinds.kind import same
from chalicelib.core.kinds.table import Kind
from tests.kinds import ALL, DECIMALS, is_beyond_schemas, json_values, name_of, outcome, texts

every_kind = pytest.mark.parametrize("kind", ALL, ids=name_of)
few = settings(max_examples=20, deadline=None)  # each example has many values


def many(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=1, max_size=20)


def valid(kind: Kind, values: list[Any]) -> list[Any]:
    """Return the checked forms of the values that are valid."""
    return [checked for state, checked, _ in (outcome(kind.check, value) for value in values) if state == "valid"]


@every_kind
@few
@given(data=st.data())
def test_a_clean_field_is_valid_and_a_text_means_the_same_in_a_request_as_in_a_file(
    kind: Kind, data: st.DataObject
) -> None:
    for text in data.draw(many(texts(kind))):
        in_file, in_request = outcome(kind.check_in_file, "iso", text), outcome(kind.check, text)
        assert in_file[:2] == in_request[:2]
        if re.fullmatch(kind.clean(b","), text.encode()):
            assert in_file[0] == "valid"


@every_kind
@few
@given(data=st.data())
def test_a_checked_value_stays_the_same_in_all_its_forms(kind: Kind, data: st.DataObject) -> None:
    for checked in valid(kind, data.draw(many(json_values(kind)))):
        assert kind.check(checked) == checked
        assert isinstance(checked, str) or kind.check(str(checked)) == checked  # COPY gets it as text
        stored = kind.stored(checked)
        assert kind.are_valid([stored])
        assert kind.can_be_stored([stored])
        for is_trusted in (True, False):
            again = kind.check_stored(kind.shown(stored), is_trusted=is_trusted)
            assert kind.stored(again) == stored
            assert again == checked or Decimal(again) == Decimal(checked)  # 1.5 is shown as 1.50


@every_kind
@few
@given(data=st.data())
def test_usual_values_of_a_request_are_their_own_checked_forms(kind: Kind, data: st.DataObject) -> None:
    for value in data.draw(many(json_values(kind))):
        if kind.are_usual([value]):
            state, checked, _ = outcome(kind.check, value)
            assert (state, type(checked)) == ("valid", type(value))
            # Postgres, in UTC, reads the usual text of an instant as the rule does.
            assert checked == value or kind is Kind.INSTANT
            assert not kind.are_usual([value, None])


BOUNDS = {Kind.ID: 2**31, Kind.DATE: 2**31, Kind.WHOLE_NUMBER: 2**63, Kind.INSTANT: 2**63}
BOUNDS |= dict.fromkeys(DECIMALS, 10**38)


@pytest.mark.parametrize("kind", BOUNDS, ids=name_of)
@given(data=st.data())
def test_a_column_of_stored_values_is_valid_if_and_only_if_each_value_is(kind: Kind, data: st.DataObject) -> None:
    bound = BOUNDS[kind]
    stored = data.draw(st.lists(st.integers(-99, 99) | st.integers(-bound, bound - 1), min_size=1, max_size=3))
    check = partial(kind.check_stored, is_trusted=False)
    assert kind.are_valid(stored) == all(outcome(check, kind.shown(value))[0] == "valid" for value in stored)


@every_kind
@few
@given(data=st.data())
def test_the_schema_accepts_what_the_rule_accepts(kind: Kind, data: st.DataObject) -> None:
    accepted = Draft202012Validator(kind.schema()[1]).is_valid
    for value in data.draw(many(json_values(kind) | _from_schema(kind))):
        state, _, why = outcome(kind.check, value)
        if not is_beyond_schemas(value, why.code if why else None, str(why)):
            assert accepted(value) == (state == "valid"), value


def _from_schema(kind: Kind) -> st.SearchStrategy[Any]:
    schema = kind.schema()[1]
    patterns = [each["pattern"] for each in schema.get("anyOf", [schema]) if "pattern" in each]
    return st.one_of([st.from_regex(pattern, fullmatch=True) for pattern in patterns])


@every_kind
@few
@given(data=st.data())
def test_a_value_comes_back_from_avro(kind: Kind, data: st.DataObject) -> None:
    import fastavro

    schema = fastavro.parse_schema({"type": "array", "items": kind.avro_plain})
    stored = [kind.stored(checked) for checked in valid(kind, data.draw(many(texts(kind))))]
    is_bytes = kind.avro_plain == "bytes"
    file = io.BytesIO()
    fastavro.schemaless_writer(
        file, schema, [v.to_bytes(16, "big", signed=True) for v in stored] if is_bytes else stored
    )
    file.seek(0)
    read: Any = fastavro.schemaless_reader(file, schema, None)
    name = kind.avro if isinstance(kind.avro, str) else f"{kind.avro['type']} {kind.avro['logicalType']}"
    conversion = kind.avro_conversion(name, getattr(kind, "scale", 0))
    assert conversion is not None
    assert list(map(conversion, read)) == stored
    assert conversion is same or is_bytes
