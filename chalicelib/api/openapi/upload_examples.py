"""Makes examples of requests with rows and files, and of the responses to these requests.

The code of the rules makes the reasons in the examples, so the examples agree with the responses of the API.
"""

import csv
import io
from typing import Any

from chalicelib.api.openapi.examples import refusal
from chalicelib.api.openapi.json_schema import Json
from chalicelib.api.openapi.upload_schemas import example_value
from chalicelib.api.row_routes import BROKEN_RULES
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.kinds.values import as_text
from chalicelib.core.reasons import Problem
from chalicelib.core.rules import check_object
from chalicelib.ingest import upload_forms

LOAD_ID = 7
FORMAT: Json = {"type": "csv", "delimiter": ",", "encoding": "utf-8", "header": False, "ignored_columns": []}
WRONG_FILE: Json = {"dataset": "jobs", "filename": "new.pdf", "size": 65536}


def row(dataset: Dataset, *, without_id: bool = False) -> Json:
    """Return a row that the rules accept."""
    return {c.name: example_value(c) for c in dataset.columns if not (without_id and c.name == "id")}


def short_row(dataset: Dataset) -> Json:
    """Return a row with an id that leaves out every other column that it may leave out."""
    return {c.name: example_value(c) for c in dataset.columns if not c.may_be_absent}


def faulty_row(dataset: Dataset) -> Json:
    """Return a row that the rules refuse, because the value of its first mandatory column after the id is missing. If
    no other column is mandatory, its id is not valid."""
    mandatory = [column.name for column in dataset.values if not column.optional]
    return row(dataset) | ({mandatory[0]: ""} if mandatory else {"id": "1.5"})


def refused_row(dataset: Dataset) -> Json:
    """Return the members of the problem for a request with `faulty_row`."""
    errors = [{"field": p.field, "reason": p.text, "code": p.code} for p in _problems(dataset)]
    return {"detail": BROKEN_RULES, "errors": errors, "load_id": LOAD_ID}


def _problems(dataset: Dataset) -> tuple[Problem, ...]:
    """Return the problems of `faulty_row`."""
    return check_object(dataset, faulty_row(dataset), id_optional=True).problems


def batch_result(dataset: Dataset, *, accepted: int) -> Json:
    """Return the response to a batch of `accepted` new rows, followed by `faulty_row`."""
    problems = _problems(dataset)
    rejected: Json = {
        "index": accepted,
        "reasons": [problem.text for problem in problems],
        "fields": [problem.field for problem in problems],
        "codes": [problem.code for problem in problems],
        "row": faulty_row(dataset),
    }
    counts = {"received": accepted + 1, "inserted": accepted, "updated": 0, "unchanged": 0, "superseded": 0}
    return {"load_id": LOAD_ID, **counts, "rejected": [rejected]}


def csv_line(dataset: Dataset) -> str:
    """Return `row` as a line of a CSV file."""
    return _line(row(dataset))


def checked_file(dataset: Dataset) -> str:
    """Return a CSV file with a row that the rules accept and with `faulty_row`."""
    return _line(row(dataset)) + _line(faulty_row(dataset))


def _line(values: Json) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(map(as_text, values.values()))
    return line.getvalue()


def _checked(dataset: Dataset) -> Json:
    """Return the response to a check of `checked_file`."""
    [rejected] = batch_result(dataset, accepted=1)["rejected"]
    reasons: list[Any] = [
        {"reason": reason, "code": code, "count": 1}
        for reason, code in zip(rejected["reasons"], rejected["codes"], strict=True)
    ]
    reject = {
        "line": 2,
        "reasons": rejected["reasons"],
        "fields": rejected["fields"],
        "codes": rejected["codes"],
        "raw": _line(rejected["row"]).rstrip(),
        "row": {name: as_text(value) for name, value in rejected["row"].items()},
    }
    counts = {"received": 2, "inserted": 1, "updated": 0, "unchanged": 0, "superseded": 0, "rejected": 1}
    return {
        "dataset": dataset.name,
        "status": "succeeded",
        "error": None,
        "format": FORMAT,
        "notices": [],
        **counts,
        "waiting": 0,
        "reasons": reasons,
        "rejects": [reject],
        "truncated": False,
    }


CHECKED = _checked(DATASETS["departments"])
_REFUSAL = refusal(lambda: upload_forms.checked(WRONG_FILE))
REFUSED_FILE: Json = {"detail": _REFUSAL.detail, "errors": _REFUSAL.errors}
