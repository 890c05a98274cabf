"""Schemathesis over the OpenAPI document: requests that it allows, requests that it forbids, and sequences."""

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
from chalicelib.core import datetimes
from chalicelib.core.datasets import MAX_TEXT
from tests.openapi import described

# Rules that JSON Schema does not know: which rows exist, and which days there are.
UNTOLD = ("does not exist", datetimes.WANTED, datetimes.OUTSIDE)
# What depends on the departments that there are.
OF_NAMES = re.compile("^there is no department |is the name of [0-9]+ departments|is not the name of department")
UNTOLD_QUERIES = (
    "cursor must be the next_cursor of an earlier response",  # the shape of a restore point, but of no day
    "from must not be a later year than to",
    "id is missing",  # of the panels that show one thing
    "point is missing",
)
CHECK = "/uploads/check"  # its bodies are no JSON: any text is a CSV file, and what is gzip no schema tells

# In Python, and only there, the end of a pattern also stands before a last line break.
LINE_BREAK = "filename must not hold control characters or halves of surrogate pairs"

SEED = 20210727
Request = Case[Any]
GATEWAY_REFUSES = (403, 404, 405)  # AWS says 403, as the model in tests/gateway.py does; emulators differ


@dataclass
class Report:
    """What was sent: requests by operation, and what was wrong with answers."""

    seed: int
    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        sent = f"{sum(self.requests.values())} requests to {len(self.requests)} operations"
        seen = ", ".join(f"{count} of {status}" for status, count in sorted(self.statuses.items()))
        found = "\n\n".join(self.failures.values())
        return f"seed {self.seed}: {sent} ({seen}); {len(self.failures)} failures\n{found}"


def config(examples: int, seed: int, base_url: str, token: str = "", phases: tuple[str, ...] = ()) -> Config:
    """Everything that Schemathesis checks, with two of its checks replaced by stricter ones of this module:
    undeclared methods are API Gateway's, which answers 403 and not 405 (`of_gateway`), and uploads are judged
    row by row, also those of a batch that is taken without its bad rows (`rules_agree`)."""
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
                found = f"{check.name}: {case.operation.label}: {failure.title}"
                curl = check.failure_info.code_sample[:1500]
                report.failures.setdefault(found, f"{found}\n{failure.message[:1500]}\n{curl}")


def _is_no_body(interaction: Interaction) -> bool:
    """A restore needs no body, and white space alone is none."""
    request = interaction.request
    return request.uri.endswith("/backup/restore") and request.body is not None and not request.body.strip()


@schemathesis.check
def of_gateway(_ctx: CheckContext, response: Response, case: Request) -> None:
    """A method that is not deployed never reaches the function: API Gateway refuses it."""
    if coverage_scenario(case) == CoverageScenario.UNSPECIFIED_HTTP_METHOD:
        assert response.status_code in GATEWAY_REFUSES, f"{response.request.method}: {response.status_code}"


@schemathesis.check
def rules_agree(_ctx: CheckContext, response: Response, case: Request) -> None:
    """What the schema allows is taken, unless a rule says no that no schema can tell; what it forbids is not:
    row by row, since a batch with a bad row is taken without it."""
    if coverage_scenario(case) in REQUEST_SHAPE_PROBES or case.meta is None or not response.content:
        return
    if response.headers.get("content-type", [""])[0].startswith("text/"):
        return
    body = json.loads(response.content)
    if case.path == CHECK:
        assert response.status_code != 422 or "gzip" in body["detail"] or case.meta.generation.mode.is_negative
    elif case.method == "POST" and case.path == "/uploads":
        _file_agrees(case, response.status_code, body)
    elif case.method == "POST" and "/upload" in case.path and isinstance(case.body, dict | list):
        _rows_agree(case, response.status_code, body)
    elif response.status_code == 422 and case.meta.generation.mode.is_positive:
        assert body["detail"] in UNTOLD_QUERIES or OF_NAMES.search(body["detail"]), body["detail"]


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
    else:  # nothing was looked at: the shape is wrong
        shape = {"type": "object", "required": ["data"], "properties": {"data": {"type": "array", "minItems": 1}}}
        assert described().faults({**shape, "additionalProperties": False}, body), response["detail"]


def _file_agrees(case: Request, status: int, response: Any) -> None:
    if status not in (201, 422):
        return
    faults = described().faults({"$ref": "#/components/schemas/UploadOrder"}, case.body)
    told = [error["reason"] for error in response.get("errors", ()) if not error["reason"].endswith("S3 would replace")]
    if told != [LINE_BREAK]:
        assert bool(faults) == bool(told), f"{case.body!r:.300}: by the schema {faults}, by the rules {told}"


def _row_agrees(name: str, row: Any, reasons: list[str]) -> None:
    faults = described().faults({"$ref": f"#/components/schemas/{name}"}, _without_padding(row))
    told = [reason for reason in reasons if not reason.endswith(UNTOLD)]
    if told or not reasons:
        assert bool(faults) == bool(told), f"{row!r:.300}: by the schema {faults}, by the rules {told}"


def _without_padding(row: Any) -> Any:
    """JSON Schema counts the white space around a text among its characters, the rules do not."""
    if not isinstance(row, dict):
        return row
    long = {name: value for name, value in row.items() if isinstance(value, str) and len(value) > MAX_TEXT}
    return row | {name: value.strip() for name, value in long.items()}


def seed() -> int:
    """FUZZ_SEED; without it always the same one, so that a suite which passed passes again."""
    return int(os.environ.get("FUZZ_SEED") or SEED)


def examples(default: int) -> int:
    return int(os.environ.get("FUZZ_EXAMPLES", default))
