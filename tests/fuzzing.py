"""Runs Schemathesis with the OpenAPI document. Schemathesis generates requests that the document allows, requests that
the document forbids, and sequences of requests."""

import json
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Config, Response
from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.recorder import Interaction
from schemathesis.generation.meta import REQUEST_SHAPE_PROBES, CoverageScenario, coverage_scenario
from schemathesis.schemas import BaseSchema

from chalicelib.api.row_routes import MAX_ROWS
from chalicelib.core.reasons import NOT_A_DATE, NOT_A_DATETIME, OUT_OF_RANGE
from chalicelib.core.value_limits import MAX_TEXT
from tests.openapi import described

# Reject reasons of rules that JSON Schema cannot express: a row must exist, and a date must exist. The schema limits
# the digits of decimals, but the validator computes with floats: for it, 8.999999999999998 is a multiple of 0.0001.
DIGITS = "digits after the point"
NOT_IN_SCHEMA = ("does not exist", str(NOT_A_DATETIME), str(NOT_A_DATE), str(OUT_OF_RANGE), DIGITS)
# Errors that depend on the names of the departments in the database.
OF_NAMES = re.compile("^there is no department |is the name of [0-9]+ departments|is not the name of department")
ERRORS_NOT_IN_SCHEMA = (
    "cursor must be the next_cursor of an earlier response",  # the date in the cursor does not exist
    "`from` must not be later than `to`",
    "id is missing",  # the panels of one load and of one restore point need this parameter
    "point is missing",
)
CHECK = "/uploads/check"  # a JSON Schema cannot describe its bodies, which are CSV text or gzip data

# The API refuses a name with a final line break. The schema's pattern forbids the line break, too. But Python's `re`
# accepts such a name, because its `$` also matches before a final line break.
LINE_BREAK = "filename must not contain control characters or halves of surrogate pairs"

SEED = 20210727
Request = Case[Any]
GATEWAY_REFUSES = (403, 404, 405)  # AWS and tests/gateway.py respond 403; emulators may respond 404 or 405


@dataclass
class Report:
    """The result of a run: the numbers of requests by operation and of responses by status, and a description of each
    failure."""

    seed: int
    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        sent = f"{sum(self.requests.values())} requests to {len(self.requests)} operations"
        seen = ", ".join(f"{count} of {status}" for status, count in sorted(self.statuses.items()))
        details = "\n\n".join(self.failures.values())
        return f"seed {self.seed}: {sent} ({seen}); {len(self.failures)} failures\n{details}"


def config(examples: int, seed: int, base_url: str, token: str = "", phases: tuple[str, ...] = ()) -> Config:
    """Return a configuration with all checks of Schemathesis, except two. Stricter checks of this module replace these
    two.

    `of_gateway` expects that API Gateway refuses a method that the document does not declare. The status is 403, not
    405. `rules_agree` checks uploads row by row, because the API accepts a batch and rejects only its invalid rows.
    """
    every = ("examples", "coverage", "fuzzing", "stateful")
    off = {"enabled": False}
    return Config.from_dict(
        {
            "seed": seed,
            "base-url": base_url,
            **({"headers": {"Authorization": f"Bearer {token}"}} if token else {}),
            "generation": {"max-examples": examples, "database": "none"},
            "phases": {name: {"enabled": not phases or name in phases} for name in every},
            "checks": {"unsupported_method": off, "positive_data_acceptance": off},
            "operations": [{"include-path-regex": f"(/batch|{CHECK})$", "checks": {"negative_data_rejection": off}}],
        }
    )


def run(schema: BaseSchema, seed: int) -> Report:
    report = Report(seed)
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _record(report, event)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            error = str(getattr(event, "info", None) or event)
            report.failures.setdefault(error[:200], error[:3000])
    return report


def _record(report: Report, event: events.ScenarioFinished) -> None:
    recorder = event.recorder
    for case_id, interaction in recorder.interactions.items():
        report.requests[recorder.cases[case_id].value.operation.label] += 1
        if interaction.response is not None:
            report.statuses[interaction.response.status_code] += 1
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if (
                check.status == Status.FAILURE
                and check.failure_info
                and not _is_no_body(recorder.interactions[case_id])
            ):
                case, failure = recorder.cases[case_id].value, check.failure_info.failure
                summary = f"{check.name}: {case.operation.label}: {failure.title}"
                curl = check.failure_info.code_sample[:1500]
                report.failures.setdefault(summary, f"{summary}\n{failure.message[:1500]}\n{curl}")


def _is_no_body(interaction: Interaction) -> bool:
    """Return whether this is a restore request whose body is only white space. Such a request is valid, because a
    restore needs no body."""
    request = interaction.request
    return request.uri.endswith("/backup/restore") and request.body is not None and not request.body.strip()


@schemathesis.check
def of_gateway(_ctx: CheckContext, response: Response, case: Request) -> None:
    """Check that API Gateway refuses a method that is not deployed. Such a request never reaches the function."""
    if coverage_scenario(case) == CoverageScenario.UNSPECIFIED_HTTP_METHOD:
        assert response.status_code in GATEWAY_REFUSES, f"{response.request.method}: {response.status_code}"


# Reasons why the API refuses a request for an upload form, and which JSON Schema cannot express.
OF_ORDERS = re.compile(r"S3 would replace$|^the file is declared to correct load ")
# Reasons why the API cannot check a file, although the request is valid.
OF_FILES = re.compile(r"gzip|^the file is |^the header names |^(?:encoding|max-rejected|corrects) .* is not known")


@schemathesis.check
def rules_agree(_ctx: CheckContext, response: Response, case: Request) -> None:
    """Check that the API accepts what the schema allows, and refuses what the schema forbids.

    The API may also refuse a request because of a rule that no schema can express. Rows are checked one by one, because
    the API accepts a batch and rejects only its invalid rows.
    """
    if coverage_scenario(case) in REQUEST_SHAPE_PROBES or case.meta is None or not response.content:
        return
    if "json" not in response.headers.get("content-type", ["application/json"])[0]:
        return
    body = json.loads(response.content)
    if case.path == CHECK:
        refused = response.status_code == 422 and not case.meta.generation.mode.is_negative
        assert not refused or OF_FILES.search(body["detail"]), body["detail"]
    elif case.method == "POST" and case.path == "/uploads":
        _file_agrees(case, response.status_code, body)
    elif case.method == "POST" and "/upload" in case.path and isinstance(case.body, dict | list):
        _rows_agree(case, response.status_code, body)
    elif response.status_code == 422 and case.meta.generation.mode.is_positive:
        assert body["detail"] in ERRORS_NOT_IN_SCHEMA or OF_NAMES.search(body["detail"]), body["detail"]


def _rows_agree(case: Request, status: int, response: Any) -> None:
    if status not in (200, 201, 422):
        return
    body: Any = case.body
    [media_type] = case.operation.definition.raw["requestBody"]["content"].values()
    name = media_type["schema"]["$ref"].rpartition("/")[2].removesuffix("Batch")
    if not case.path.endswith("/batch"):
        if "errors" in response or status != 422:
            _row_agrees(name, body, [error["reason"] for error in response.get("errors", ())])
        else:
            assert not isinstance(body, dict), response["detail"]
    elif "rejected" in response:
        assert 1 <= len(body["data"]) <= MAX_ROWS
        reasons = {row["index"]: row["reasons"] for row in response["rejected"]}
        for index, row in enumerate(body["data"]):
            _row_agrees(name, row, reasons.get(index, []))
    else:  # the body does not have the right members, so the API has checked no row
        shape = {"type": "object", "required": ["data"], "properties": {"data": {"type": "array", "minItems": 1}}}
        assert described().faults({**shape, "additionalProperties": False}, body), response["detail"]


def _file_agrees(case: Request, status: int, response: Any) -> None:
    if status not in (201, 422):
        return
    faults = described().faults({"$ref": "#/components/schemas/UploadOrder"}, case.body)
    reasons = [error["reason"] for error in response.get("errors", ()) if not OF_ORDERS.search(error["reason"])]
    if reasons != [LINE_BREAK]:
        assert bool(faults) == bool(reasons), f"{case.body!r:.300}: the schema finds {faults}, the rules find {reasons}"


def _row_agrees(name: str, row: Any, reasons: list[str]) -> None:
    faults = described().faults({"$ref": f"#/components/schemas/{name}"}, _without_padding(row))
    comparable = [reason for reason in reasons if not reason.endswith(NOT_IN_SCHEMA)]
    if comparable or not reasons:
        assert bool(faults) == bool(comparable), f"{row!r:.300}: the schema finds {faults}, the rules find {comparable}"


def _without_padding(row: Any) -> Any:
    """Return the value with long texts stripped. JSON Schema counts the white space around a text in its length. Our
    rules do not."""
    if not isinstance(row, dict):
        return row
    long = {name: value for name, value in row.items() if isinstance(value, str) and len(value) > MAX_TEXT}
    return row | {name: value.strip() for name, value in long.items()}


def seed() -> int:
    """Return FUZZ_SEED. If it is not set, return a constant, so that every run of the test suite sends the same
    requests."""
    return int(os.environ.get("FUZZ_SEED") or SEED)


def examples(default: int) -> int:
    return int(os.environ.get("FUZZ_EXAMPLES", default))
