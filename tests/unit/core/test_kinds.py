"""Tests what each kind of column accepts, and that all forms of a value mean the same."""

import io
import json
from datetime import date
from typing import Any

import pytest

from chalicelib.core import reasons
from chalicelib.core.dataset import Column
from chalicelib.core.json_numbers import JsonNumber
from chalicelib.core.kinds.table import Kind
from chalicelib.core.kinds.values import Broken, InvalidDeclaration, Missing
from chalicelib.core.reasons import Reason
from chalicelib.core.rules import all_stored_are_valid, check_fields, check_object, check_objects, check_stored
from chalicelib.core.value_limits import MAX_WHOLE_NUMBER, MIN_WHOLE_NUMBER
from tests.kinds import ALL, DECIMALS, SAMPLES, name_of

PRICE = Kind.decimal(12, 2)
every_kind = pytest.mark.parametrize("kind", ALL, ids=name_of)


def reason(kind: Kind, value: Any) -> Reason:
    with pytest.raises(Broken) as broken:
        kind.check(value)
    return broken.value.reason


# --- what each kind accepts


@pytest.mark.parametrize(
    ("kind", "sent", "checked"),
    [
        *((Kind.DATE, text, "2021-07-27") for text in ("2021-07-27", "20210727", "2021-W30-2", " 2021W302 ")),
        *((Kind.DATE, text, text) for text in ("0001-01-01", "9999-12-31", "2020-02-29")),
        *((Kind.WHOLE_NUMBER, sent, 12) for sent in (12, "12", "+12", "0012", "12.0", " 12.00 ", 12.0)),
        *((Kind.WHOLE_NUMBER, sent, -12) for sent in (-12, "-12", "-12.0", JsonNumber("-1.2e1"))),
        *((Kind.WHOLE_NUMBER, sent, MAX_WHOLE_NUMBER) for sent in (MAX_WHOLE_NUMBER, str(MAX_WHOLE_NUMBER))),
        *((Kind.WHOLE_NUMBER, sent, MIN_WHOLE_NUMBER) for sent in (MIN_WHOLE_NUMBER, str(MIN_WHOLE_NUMBER))),
        (Kind.WHOLE_NUMBER, JsonNumber("9007199254740993.0"), 9007199254740993),  # no float has this value
        *((Kind.BOOLEAN, sent, True) for sent in (True, 1, 1.0, "true", "T", "Yes", "y", " 1 ")),
        *((Kind.BOOLEAN, sent, False) for sent in (False, 0, 0.0, "FALSE", "f", "no", "N", "0")),
        (PRICE, "12.50", "12.50"),
        (PRICE, "-12.5", "-12.5"),
        (PRICE, "+007.5", "7.5"),
        (PRICE, ".5", "0.5"),
        (PRICE, "5.", "5"),
        (PRICE, "-0.00", "0.00"),
        (PRICE, " 9999999999.99\u200b", "9999999999.99"),
        (PRICE, -12, "-12"),
        (PRICE, JsonNumber("0.1"), "0.1"),
        (PRICE, JsonNumber("12.500"), "12.50"),
        (PRICE, JsonNumber("1.25e2"), "125"),
        (PRICE, JsonNumber("0e99999999999"), "0"),
        (Kind.decimal(38, 19), JsonNumber("1234567890123456789.1234567890123456789"), "1234567890123456789." * 2),
        (Kind.decimal(4, 4), "-.1234", "-0.1234"),
        (Kind.decimal(4, 4), 0, "0"),
        (Kind.decimal(5, 0), "12.", "12"),
        (Kind.decimal(5, 0), JsonNumber("12.0"), "12"),
    ],
)
def test_a_valid_value_has_one_checked_form(kind: Kind, sent: Any, checked: Any) -> None:
    found = kind.check(sent)
    expected = checked.rstrip(".") if isinstance(checked, str) else checked
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "wanted", "values"),
    [
        (
            Kind.DATE,
            reasons.NOT_A_DATE,
            [
                "2021-02-30",
                "0000-01-01",
                "2021-07-27T00:00",
                "2021-07-27 00:00:00",
                "27/07/2021",
                "44404",
                20210727,
                True,
            ],
        ),
        (
            Kind.WHOLE_NUMBER,
            reasons.NOT_A_WHOLE_NUMBER,
            ["12.5", "12.", ".0", "1e3", "1_000", "1,000", "0x1F", "--1", "\u0661", True, 12.5, [12], "x"],
        ),
        (
            Kind.WHOLE_NUMBER,
            reasons.WHOLE_NUMBER_OUT_OF_RANGE,
            [MAX_WHOLE_NUMBER + 1, str(MIN_WHOLE_NUMBER - 1), "9" * 5000, JsonNumber("1e400"), JsonNumber("1e99999")],
        ),
        (Kind.BOOLEAN, reasons.NOT_A_BOOLEAN, ["on", "off", "2", "1.0", "tru", 2, -1, 0.5, [], "ja"]),
        (
            PRICE,
            reasons.NOT_A_DECIMAL,
            ["1e3", "1,50", "1 000", "1'000", "NaN", "Infinity", ".", "-", "1.5.0", "\u0661", True, [], "12 EUR"],
        ),
    ],
)
def test_an_invalid_value_has_its_reason(kind: Kind, wanted: Reason, values: list[Any]) -> None:
    for value in values:
        assert reason(kind, value) == wanted, value


@pytest.mark.parametrize(
    ("kind", "value", "text", "code"),
    [
        (PRICE, "1.234", "has more than 2 digits after the point", "too_many_decimals"),
        (PRICE, "1.500", "has more than 2 digits after the point", "too_many_decimals"),
        (PRICE, JsonNumber("1.234"), "has more than 2 digits after the point", "too_many_decimals"),
        (PRICE, JsonNumber("1e-99999999"), "has more than 2 digits after the point", "too_many_decimals"),
        (PRICE, "12345678901", "has more than 10 digits before the point", "out_of_range"),
        (PRICE, 10**10, "has more than 10 digits before the point", "out_of_range"),
        (PRICE, -(10**10), "has more than 10 digits before the point", "out_of_range"),
        (PRICE, JsonNumber("1e10"), "has more than 10 digits before the point", "out_of_range"),
        (Kind.decimal(4, 4), "1", "has more than 0 digits before the point", "out_of_range"),
    ],
)
def test_a_decimal_with_too_many_digits_has_a_reason_that_names_the_limit(
    kind: Kind, value: Any, text: str, code: str
) -> None:
    found = reason(kind, value)
    assert (str(found), found.code) == (text, code)


@every_kind
@pytest.mark.parametrize("value", [None, "", " \t\u00a0\u200b"])
def test_what_is_empty_is_missing(kind: Kind, value: Any) -> None:
    with pytest.raises(Missing):
        kind.check(value)


def test_dates_in_another_order_are_read_where_the_file_declares_the_order() -> None:
    for text in ("27/07/2021", " 27.7.2021 ", "27-07-2021"):
        assert Kind.DATE.check_in_file("dmy", text) == "2021-07-27"
        assert _in_file("iso", text) == reasons.UNDECLARED_ORDER
        assert _in_file("mdy", text) == reasons.DATE_NOT_MDY
    assert Kind.DATE.check_in_file("mdy", "07/27/2021") == "2021-07-27"
    assert Kind.DATE.check_in_file("mdy", "2021-07-27") == "2021-07-27"
    for text in ("27/07/2021 16:02", "soon", "31/02/2021"):
        assert _in_file("dmy", text) == reasons.DATE_NOT_DMY
    for text in ("27/07/2021 16:02", "soon"):
        assert _in_file("iso", text) == reasons.NOT_A_DATE


def _in_file(dates: Any, text: str) -> Reason:
    with pytest.raises(Broken) as broken:
        Kind.DATE.check_in_file(dates, text)
    return broken.value.reason


# --- declarations


def test_equal_decimals_are_one_kind() -> None:
    assert Kind.decimal(12, 2) is PRICE
    assert Kind.decimal(12, 3) is not PRICE


@pytest.mark.parametrize(("precision", "scale"), [(0, 0), (39, 2), (5, 6), (5, -1)])
def test_an_impossible_decimal_is_refused_when_it_is_declared(precision: int, scale: int) -> None:
    with pytest.raises(
        InvalidDeclaration, match="the precision is from 1 to 38, and the scale is from 0 to the precision"
    ):
        Kind.decimal(precision, scale)


def test_a_default_is_in_the_checked_form() -> None:
    assert Column("price", PRICE, default="+1.5").default == "1.5"
    assert Column("active", Kind.BOOLEAN, default="yes").default is True
    assert Column("at", Kind.INSTANT, default="2021-07-27").default == "2021-07-27T00:00:00+00:00"
    with pytest.raises(InvalidDeclaration, match=r"the default '1\.234' of price has more than 2 digits"):
        Column("price", PRICE, default="1.234")


@every_kind
def test_the_example_of_a_kind_is_valid_and_so_is_its_cell(kind: Kind) -> None:
    checked = kind.check(kind.example)
    cell = kind.cell(checked)
    assert kind.check_in_file("iso", str(cell)) == checked


# --- Avro


@every_kind
def test_the_default_of_a_schema_is_the_value(kind: Kind) -> None:
    """fastavro reads a file without the column, and fills in the default."""
    import fastavro

    checked = kind.check(kind.example)
    without = {"type": "record", "name": "row", "fields": [{"name": "id", "type": "int"}]}
    field = {"name": "a", "type": kind.avro_plain, "default": kind.avro_default(checked)}
    file = io.BytesIO()
    fastavro.schemaless_writer(file, fastavro.parse_schema(without), {"id": 1})
    file.seek(0)
    wanted = fastavro.parse_schema({**without, "fields": [*without["fields"], field]})
    read: Any = fastavro.schemaless_reader(file, fastavro.parse_schema(without), wanted)
    value = read["a"].encode("latin-1") if isinstance(read["a"], str) and kind in DECIMALS else read["a"]
    assert json.dumps(kind.avro_default(checked))
    assert (int.from_bytes(value, "big", signed=True) if kind in DECIMALS else value) == kind.stored(checked)


@pytest.mark.parametrize(
    ("unscaled", "scale", "stored"),
    [
        (150, 2, 150),
        (15, 1, 150),
        (-2, 0, -200),
        (15000, 4, 150),
        (-15000, 4, -150),
        (15001, 4, "1.5001"),
        (-1, 3, "-0.001"),
    ],
)
def test_a_decimal_of_another_scale_is_converted_unless_it_has_too_many_digits(
    unscaled: int, scale: int, stored: int | str
) -> None:
    conversion = PRICE.avro_conversion("bytes decimal", scale)
    assert conversion is not None
    found = conversion(unscaled.to_bytes(5, "big", signed=True))
    assert found == stored
    if isinstance(stored, str):
        assert reason(PRICE, PRICE.shown(found)).code == "too_many_decimals"
    assert PRICE.avro_conversion("double", 0) is None


# --- rows


ROW = {column.name: column.example for column in SAMPLES.columns}


def test_a_row_with_every_kind_is_valid_as_a_record_as_an_object_and_in_a_batch() -> None:
    alone = check_object(SAMPLES, ROW)
    fields = [str(value).encode() for value in ROW.values()]
    assert alone.valid, alone.problems
    assert alone == check_fields(SAMPLES, fields)
    [first, second] = check_objects(SAMPLES, [ROW, ROW])
    assert first == second
    stored = [column.kind.stored(value) for column, value in zip(SAMPLES.columns, alone.values, strict=True)]  # type: ignore[arg-type]
    assert check_stored(SAMPLES, stored) == alone
    assert all_stored_are_valid(SAMPLES, [[value] for value in stored])


def test_every_column_names_its_own_problem() -> None:
    wrong = check_object(SAMPLES, {name: [] for name in ROW})
    assert [problem.field for problem in wrong.problems] == list(SAMPLES.column_names)
    codes = {"not_an_id", "not_text", "not_a_datetime", "not_a_date"}
    codes |= {"not_a_whole_number", "not_a_boolean", "not_a_decimal"}
    assert {problem.code for problem in wrong.problems} == codes


def test_a_cell_shows_a_date_as_a_date() -> None:
    assert Kind.DATE.cell("2021-07-27") == date(2021, 7, 27)
