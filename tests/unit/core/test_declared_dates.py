"""Tests dates such as 27/07/2021 in files whose sender declares the order of day and month."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import local_dates
from chalicelib.core.datasets import DATASETS
from chalicelib.core.declarations import Dates
from chalicelib.core.reasons import NOT_A_DATETIME, OUT_OF_RANGE, UNDECLARED_DATE
from chalicelib.core.rules import check_fields, check_object

EMPLOYEES = DATASETS["hired_employees"]


def read(text: str, dates: Dates) -> tuple[object, list[str]]:
    checked = check_fields(EMPLOYEES, [b"1", b"Ann", text.encode(), b"1", b"1"], dates)
    return checked.values[2], [problem.reason for problem in checked.problems]


@given(st.datetimes(), st.sampled_from(["/", ".", "-"]), st.sampled_from(["", " %H:%M", " %H:%M:%S", "T%H:%M"]))
def test_every_date_is_read_in_both_orders(at: datetime, mark: str, time: str) -> None:
    text = f"{at.day:02}{mark}{at.month:02}{mark}{at.year:04}" + at.strftime(time)
    other = f"{at.month}{mark}{at.day}{mark}{at.year:04}" + at.strftime(time)
    parts = ("hour", "minute", "second") if "%S" in time else ("hour", "minute") if time else ()
    wanted = datetime(at.year, at.month, at.day, **{part: getattr(at, part) for part in parts}).isoformat() + "+00:00"
    assert read(f" {text} ", "dmy") == read(other, "mdy") == (wanted, [])
    assert read(text, "iso") == (None, [str(UNDECLARED_DATE)])


@pytest.mark.parametrize("dates", ["iso", "dmy", "mdy"])
def test_iso_dates_stay_valid(dates: Dates) -> None:
    assert read("2021-07-05T16:02:08+02:00", dates) == ("2021-07-05T14:02:08+00:00", [])
    assert read("20210705", dates) == ("2021-07-05T00:00:00+00:00", [])
    wrong = NOT_A_DATETIME if dates == "iso" else local_dates.WRONG[dates]
    assert read("soon", dates) == (None, [str(wrong)])
    assert read("0001-01-01T00:00+23:00", dates) == (None, [str(OUT_OF_RANGE)])
    assert read("", dates) == (None, ["is missing"])


@pytest.mark.parametrize("text", ["31/02/2021", "13/13/2021", "27/07/0000", "27/07/2021 24:00", "27/07/2021 16:60"])
def test_a_day_that_does_not_exist_is_refused_with_the_wanted_form(text: str) -> None:
    for order in ("dmy", "mdy"):
        assert read(text, order) == (None, [str(local_dates.WRONG[order])])


@pytest.mark.parametrize(
    "text", ["27/07.2021", "27/07/21", "27/07/2021 16", "27/07/2021Z", "27/07/2021  16:02", "٢٧/٠٧/٢٠٢١"]
)
def test_other_forms_are_not_valid_dates(text: str) -> None:
    assert read(text, "iso") == (None, [str(NOT_A_DATETIME)])
    for order in ("dmy", "mdy"):
        assert read(text, order) == (None, [str(local_dates.WRONG[order])])


def test_the_error_of_a_request_does_not_advise_to_declare_dates() -> None:
    row = {"id": 1, "name": "Ann", "datetime": "27/07/2021", "department_id": 1, "job_id": 1}
    assert [problem.reason for problem in check_object(EMPLOYEES, row).problems] == [str(NOT_A_DATETIME)]
