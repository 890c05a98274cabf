"""Tests that the OpenAPI document agrees with the code: with its routes, parameters, rules and roles."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator

from app import app
from chalicelib.api import backup_routes, check_routes, load_routes
from chalicelib.api.http.parameters import Declaration, Parameter
from chalicelib.api.http.parameters import read as read_query
from chalicelib.api.http.requests import BINARY
from chalicelib.api.openapi import document as openapi
from chalicelib.api.openapi.examples import example as example_of
from chalicelib.api.openapi.json_schema import ref
from chalicelib.api.openapi.operation import Operation
from chalicelib.api.openapi.operations import TAGS, operations
from chalicelib.api.openapi.upload_schemas import row_name
from chalicelib.auth.roles import Need, Role
from chalicelib.core import json_patterns, restore_point_names
from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.declarations import Declarations
from chalicelib.core.errors import Unprocessable
from chalicelib.core.kinds.table import Kind
from chalicelib.core.rules import check_object
from chalicelib.core.value_limits import MAX_ID, MAX_TEXT
from tests.datetimes import EDGES
from tests.kinds import is_beyond_schemas, json_values
from tests.openapi import Described, described

OPERATIONS = list(operations())
CLOSED = {"enum", "minimum"}  # schemas with these keywords say of every value whether the value is valid
PARAMETERS = list({id(p): p for o in OPERATIONS for p in o.parameters if CLOSED & p.schema().keys()}.values())


@pytest.fixture(scope="module")
def document() -> Described:
    return described()


def test_the_document_is_valid_openapi() -> None:
    for found in (described(), described(guarded=False)):
        assert [problem.message for problem in OpenAPIV31SpecValidator(found.document).iter_errors()] == []


def test_the_document_has_exactly_the_routes_of_the_app_with_their_path_parameters(document: Described) -> None:
    built = {
        (method, path, frozenset(entry.view_args))
        for path, methods in app.routes.items()
        for method, entry in methods.items()
    }
    documented = {
        (method.upper(), path, frozenset(p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"))
        for path, item in document.document["paths"].items()
        for method, operation in item.items()
    }
    assert documented == built


def test_operations_are_named_once_and_tagged() -> None:
    assert len({operation.id for operation in OPERATIONS}) == len(OPERATIONS)
    assert {operation.tag for operation in OPERATIONS} == set(TAGS)
    assert all(operation.summary for operation in OPERATIONS)


def test_the_server_is_the_address_of_the_document(document: Described) -> None:
    [server] = document.document["servers"]
    assert urljoin("https://host/api/openapi.json", server["url"]) == "https://host/api/"


def test_roles_become_security_requirements() -> None:
    def need_of(method: str, path: str) -> Need | None:
        role = Role.WRITER if method == "POST" else Role.READER
        return None if path in ("/health", "/openapi.json") else Need(role, or_rows=method == "DELETE")

    documented = openapi.document(need_of)
    assert documented["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, item in documented["paths"].items():
        for method, operation in item.items():
            need = need_of(method.upper(), path)
            assert operation.get("x-role") == (need.role.value if need else None)
            assert operation.get("x-right") == ("rows" if need and need.or_rows else None)
            free: list[dict[str, list[str]]] = [{}, {"bearer": []}] if (method, path) == ("get", "/health") else []
            assert operation["security"] == ([{"bearer": []}] if need else free)
            assert ("401" in operation["responses"]) == bool(need)
            assert "403" in operation["responses"], "every operation refuses a page of another origin"


def test_without_roles_no_operation_needs_a_token() -> None:
    documented = described(guarded=False).document
    assert "securitySchemes" not in documented["components"]
    assert {str(o["security"]) for item in documented["paths"].values() for o in item.values()} == {"[]"}


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for value in schema.values():
            yield from objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value)


def test_objects_are_closed(document: Described) -> None:
    """The tables of a restore point are an exception: a later release may have made it, with more tables."""
    schemas = document.document["components"]["schemas"]
    assert [s["properties"].keys() for s in objects(schemas) if s.get("additionalProperties") is not False] == [
        DATASETS.keys()
    ]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.id)
def test_request_examples_are_valid(document: Described, operation: Operation) -> None:
    for parameter in operation.parameters:
        assert parameter.read(str(parameter.example)) == parameter.example
        assert document.faults(parameter.schema(), parameter.example) == []
        assert parameter.default is None or document.faults(parameter.schema(), parameter.default) == []
    if operation.body:
        assert operation.body.examples
        for value in operation.body.examples.values():
            assert document.faults(operation.body.schema, value) == []


def parts(document: Described) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield all bodies, headers and parameters of requests and responses. Each comes with its place in the document."""
    for path, item in document.document["paths"].items():
        for method, operation in item.items():
            at = f"{method} {path}"
            yield from ((f"{at} {p['name']}", p) for p in operation.get("parameters", ()))
            yield from ((f"{at} {m}", c) for m, c in operation.get("requestBody", {}).get("content", {}).items())
            for status, response in operation["responses"].items():
                yield from ((f"{at} {status} {m}", c) for m, c in response.get("content", {}).items())
                yield from ((f"{at} {status} {h}", c) for h, c in response.get("headers", {}).items())


def test_every_part_of_requests_and_responses_has_a_valid_example(document: Described) -> None:
    found = list(parts(document))
    assert len(found) > 300
    for at, part in found:
        if "schema" not in part:  # a body of bytes, which has no schema
            continue
        shown = [part["example"]] if "example" in part else [e["value"] for e in part.get("examples", {}).values()]
        shown += part["schema"].get("examples", [])
        assert shown, at
        assert [fault for value in shown for fault in document.faults(part["schema"], value)] == [], at


def test_examples_of_schemas_are_valid(document: Described) -> None:
    def every(schema: Any) -> Iterator[dict[str, Any]]:
        if isinstance(schema, dict):
            yield schema
        for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
            yield from every(inner)

    declared = [s for s in every(document.document["components"]) if isinstance(s.get("examples"), list)]
    assert len(declared) > 30
    for schema in declared:
        assert [fault for value in schema["examples"] for fault in document.faults(schema, value)] == []


def test_a_text_without_an_example_is_a_mistake() -> None:
    with pytest.raises(LookupError):
        example_of({"type": "object", "properties": {"name": {"type": "string"}}}, {})


def test_required_query_parameters_are_marked(document: Described) -> None:
    given = {
        (path, p["name"])
        for path, item in document.document["paths"].items()
        for operation in item.values()
        for p in operation.get("parameters", ())
        if p["required"] and p["in"] == "query"
    }
    assert given == {("/uploads/check", "dataset")}
    with pytest.raises(Unprocessable, match="dataset must be given"):
        read_query((check_routes.DATASET, load_routes.LIMIT), {"limit": ["3"]})


def test_a_file_to_check_is_csv_or_gzip(document: Described) -> None:
    body = document.document["paths"]["/uploads/check"]["post"]["requestBody"]
    assert list(body["content"]) == list(check_routes.MEDIA_TYPES)
    # API Gateway keeps the bytes of a body only if its media type is in this list.
    assert {*check_routes.MEDIA_TYPES, BINARY} <= set(app.api.binary_types)


def test_a_route_takes_the_query_parameters_that_the_document_shows() -> None:
    for operation in OPERATIONS:
        view = app.routes[operation.path][operation.method].view_function
        shown = tuple(p for p in operation.parameters if f"{{{p.name}}}" not in operation.path)
        assert getattr(view, "query_parameters", ()) == (None if operation.any_query else shown), operation.id


def read(parameter: Parameter, text: str) -> Any:
    try:
        return parameter.read(text)
    except Unprocessable:
        return None


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.name)
@given(data=st.data())
def test_a_parameter_accepts_what_its_schema_allows(parameter: Parameter, data: st.DataObject) -> None:
    schema = parameter.schema()
    if "enum" in schema:
        text = data.draw(st.sampled_from(schema["enum"]) | st.text(max_size=12))
        taken = read(parameter, text)
        if isinstance(parameter, Declaration) and taken is not None:  # other spellings are read, too: `cp1252`, `DMY`
            given = Declarations.of({parameter.name: taken}).given()
            assert given.get(parameter.name, "iso") in schema["enum"]
        else:
            assert (taken is not None) == (text in schema["enum"])
    else:
        near = [schema["minimum"] - 1, schema["minimum"], schema["maximum"], schema["maximum"] + 1]
        number = data.draw(st.sampled_from(near) | st.integers())
        fits = described().faults(schema, number) == []
        assert read(parameter, str(number)) == (number if fits else None)


@given(st.from_regex(restore_point_names.PATTERN, fullmatch=True) | st.text("0123456789TZ.", max_size=24))
@example("20210727T160208.123456Z")
@example("20210727T160208.123456Z\n")
@example("20211327T160208.123456Z")
def test_a_cursor_of_backups_matches_its_pattern(text: str) -> None:
    taken = read(backup_routes.CURSOR, text)
    if taken:
        assert re.search(restore_point_names.PATTERN, text)
    elif text[4:8] <= "1228" and text[6:8] <= "28" and text[:4] != "0000":
        assert not re.search(restore_point_names.PATTERN, text) or text.endswith("\n")


@given(high=st.integers(1, 10**12), near=st.integers(-3, 3), number=st.integers(0, 10**13), zeros=st.integers(0, 3))
@example(high=MAX_ID, near=0, number=0, zeros=0)
def test_the_pattern_matches_exactly_the_numbers_up_to_a_limit(high: int, near: int, number: int, zeros: int) -> None:
    pattern = re.compile(json_patterns.up_to(high))
    for value in (number, high + near):
        if value >= 0:
            assert bool(pattern.fullmatch("0" * zeros + str(value))) == (1 <= value <= high)


WHITE = st.sampled_from(["", " ", "\t\n", "\x1c", "\x85", "\u2028", "\u3000"])
TIMES = ["", "T16", " 16:02", "T1602", "T16:02:08", "T160208.5", "T16:02:08.123456789Z", "T16:02+02:00", "T16-0230"]
DAYS = [
    "2021-07-27",
    "20210727",
    "2021-W30",
    "2021W302",
    "2021-W30-2",
    "0001-01-01",
    "9999-12-31",
    "2021-02-30",
    "2021",
]
INSTANTS = st.builds("{}{}{}{}".format, WHITE, st.sampled_from(DAYS), st.sampled_from(TIMES), WHITE)
HOSTILE: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([1.5, [], {}, "\0", "\x1f"])
)
LONG = st.sampled_from(["x" * MAX_TEXT, "x" * (MAX_TEXT + 1), "\U0001f600" * MAX_TEXT])
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.ID: st.integers(-1, 3)
    | st.integers(MAX_ID - 1, MAX_ID + 1)
    | st.builds("{}{}{}".format, WHITE, st.integers(0, 2 * MAX_ID), WHITE)
    | st.sampled_from(["12.0", "012.000", " 7.00 ", "12.", ".0", "0.0", "12.5", f"{MAX_ID + 1}.0", 12.0, 0.0, 12.5]),
    Kind.TEXT: st.text(max_size=20) | LONG | st.sampled_from(["\xad", " \u200b\ufeff", "\u2060a", "\u202e"]),
    Kind.INSTANT: INSTANTS | st.from_regex(json_patterns.surrounded(json_patterns.INSTANT), fullmatch=True),
}


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda d: d.name)
@given(data=st.data())
def test_the_schema_accepts_a_row_if_the_rules_accept_it(dataset: Dataset, data: st.DataObject) -> None:
    def value(column: Column) -> st.SearchStrategy[Any]:
        return VALUES.get(column.kind, json_values(column.kind)) | HOSTILE

    row = data.draw(
        st.fixed_dictionaries({}, optional={c.name: value(c) for c in dataset.columns} | {"more": st.just(1)})
    )
    refused = check_object(dataset, row, id_optional=True).problems
    why = {problem.field: problem for problem in refused}
    for name, sent in row.items():
        if is_beyond_schemas(sent, *(why[name].code, why[name].reason) if name in why else ()):
            return  # a schema cannot check the calendar: see the test below
    faults = described().faults(ref(row_name(dataset)), row)
    assert bool(refused) == bool(faults), (refused, faults)


@given(st.from_regex(json_patterns.surrounded(json_patterns.INSTANT), fullmatch=True))
def test_an_instant_of_the_right_shape_is_valid_unless_the_day_does_not_exist(text: str) -> None:
    day = text.strip()
    usual = "0002" <= day[:4] <= "9998" and "W53" not in day
    if usual and ("W" in day[:6] or int(re.sub("[^0-9]", "", day[:10])[6:8] or 1) <= 28):
        Kind.INSTANT.check(text)


@pytest.mark.parametrize("text", EDGES)
def test_the_pattern_matches_the_usual_forms_of_an_instant(text: str) -> None:
    assert re.search(json_patterns.surrounded(json_patterns.INSTANT), f" {text}\t")


def test_the_document_can_be_written_as_json() -> None:
    text = json.dumps(openapi.document(lambda _method, _path: None))
    assert json.loads(text)["openapi"].startswith("3.1")
