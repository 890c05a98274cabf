"""JSON Schemas of what the API takes and answers, made from the declared datasets."""

from collections.abc import Iterable, Mapping
from typing import Any

from chalicelib.api.http import json_patterns
from chalicelib.api.load_routes import STATUSES
from chalicelib.api.openapi.examples import TIME
from chalicelib.api.row_routes import MAX_ROWS
from chalicelib.core import correlation, restore_point_names
from chalicelib.core.datasets import DATASETS, MAX_ID, MAX_TEXT, Column, Dataset, Kind
from chalicelib.ingest import upload_forms

Json = dict[str, Any]
MAX_LONG = 2**63 - 1


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def closed(properties: Mapping[str, Json], *, optional: tuple[str, ...] = (), **more: Any) -> Json:
    """An object with these members and no others, all of them required but the `optional` ones."""
    required = [name for name in properties if name not in optional]
    kept = {"required": required} if required else {}
    return {"type": "object", **more, "properties": dict(properties), **kept, "additionalProperties": False}


def together(names: Iterable[str]) -> dict[str, list[str]]:
    """`dependentRequired` of members that are there all or none."""
    every = set(names)
    return {name: sorted(every - {name}) for name in sorted(every)}


def row_name(dataset: Dataset) -> str:
    return "".join(word.title() for word in dataset.route.split("_"))


def example_row(dataset: Dataset, *, without_id: bool = False) -> Json:
    return {column.name: column.example for column in dataset.columns if not (without_id and column.name == "id")}


def _id(column: Column) -> Json:
    about = f"{column.about}: a whole number from 1 to {MAX_ID} (not 1.0 or 1e3), or a text of its decimal digits"
    digits = {"type": "string", "pattern": json_patterns.surrounded(json_patterns.up_to(MAX_ID))}
    number: Json = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
    taken = [number, digits]
    if column.parent is None:
        about += "; left out, null or blank, a new one is given"
        taken += [{"type": "null"}, {"type": "string", "pattern": json_patterns.BLANK}]
    else:
        about += f"; it must exist in {column.parent}"
    return {"description": about, "anyOf": taken}


def _text(column: Column) -> Json:
    about = f"{column.about}; white space around it is dropped, what is left is mandatory and holds no NUL"
    return {"description": about, "type": "string", "maxLength": MAX_TEXT, "pattern": json_patterns.TEXT}


def _instant(column: Column) -> Json:
    about = (
        f"{column.about}: a date, alone (midnight UTC) or with a time after `T` or one space; then `Z`, ` UTC`, or an"
        " offset. Basic and week dates (20210727T160208Z, 2021-W30-2) are read as well. In UTC it has to be in the"
        " years 1 to 9999"
    )
    return {"description": about, "type": "string", "pattern": json_patterns.surrounded(json_patterns.INSTANT)}


_SENT = {Kind.ID: _id, Kind.TEXT: _text, Kind.INSTANT: _instant}


def row(dataset: Dataset) -> Json:
    """A row as it may be sent."""
    columns = {c.name: {**_SENT[c.kind](c), "examples": [c.example]} for c in dataset.columns}
    return closed(columns, optional=("id",), description=f"One row of {dataset.name}.")


def batch(dataset: Dataset) -> Json:
    about = "A row that breaks the rules costs no other one: it comes back in `rejected`."
    rows = {"type": "array", "description": about, "items": ref(row_name(dataset)), "minItems": 1, "maxItems": MAX_ROWS}
    return closed({"data": rows}, description=f"1 to {MAX_ROWS} rows of {dataset.name}.")


def count(high: int = MAX_LONG, about: str = "", example: int = 0) -> Json:
    told = {"description": about} if about else {}
    return {"type": "integer", "minimum": 0, "maximum": high, **told, "examples": [example]}


def text(example: str, **more: Any) -> Json:
    return {"type": "string", "examples": [example], **more}


def _or_null(schema: Json, **more: Any) -> Json:
    schema = {**schema, **more}
    if "enum" in schema:
        return {**schema, "type": [schema["type"], "null"], "enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]}


LOAD_ID: Json = {
    "type": "integer",
    "format": "int64",
    "minimum": 1,
    "maximum": MAX_LONG,
    "description": "of the load that records this, at `/loads/{load_id}`",
    "examples": [7],
}
RESTORE_POINT: Json = {
    "type": "string",
    "pattern": restore_point_names.PATTERN,
    "description": "a UTC time: every change committed before it is in the backup",
    "examples": [restore_point_names.EXAMPLE],
}
CORRELATION_ID: Json = {"type": "string", "pattern": f"^{correlation.PATTERN}$", "examples": ["import-2021-07-27"]}
_TIME = text(TIME, format="date-time")
_COLUMNS = list(dict.fromkeys(column.name for dataset in DATASETS.values() for column in dataset.columns))
_DATASET: Json = {"type": "string", "enum": list(DATASETS)}
_STATUS_URL = text("/loads/7", pattern="^/loads/[1-9][0-9]*$")


def uploaded(*outcomes: str) -> Json:
    """The answer to one row that was accepted."""
    row_id = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
    return closed({"id": row_id, "outcome": {"type": "string", "enum": list(outcomes)}, "load_id": LOAD_ID})


REJECTED: Json = closed(
    {
        "index": count(MAX_ROWS - 1, "its place in `data`, from 0"),
        "reasons": {"type": "array", "items": text(f"id is not a whole number from 1 to {MAX_ID}"), "minItems": 1},
        "fields": {
            "type": "array",
            "items": {"type": "string", "enum": _COLUMNS},
            "uniqueItems": True,
            "description": "the columns at fault",
        },
        "row": {"description": "what was sent", "examples": [{"id": "1.0"}]},
    },
    description="A row that was refused, with all its reasons.",
)
SUMMARY: dict[str, Json] = {
    "load_id": LOAD_ID,
    "received": {"type": "integer", "minimum": 1, "maximum": MAX_ROWS, "examples": [3]},
    **{name: count(MAX_ROWS, example=n) for name, n in (("inserted", 2), ("updated", 0), ("unchanged", 0))},
    "superseded": count(MAX_ROWS, "earlier ones of an id that came several times"),
    "rejected": {"type": "array", "items": ref("Rejected"), "maxItems": MAX_ROWS},
}
BATCH = closed(SUMMARY, description="received = inserted + updated + unchanged + superseded + the rejected ones.")
_KEY = "uploads/7/jobs-new.csv"
_FORM_FIELDS = {
    "key": _KEY,
    "policy": "eyJleHBpcmF0aW9uIjogIjIwMjEtMDctMjdUMTc6MDI6MDhaIn0=",
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20210727/us-east-1/s3/aws4_request",
    "x-amz-date": "20210727T160208Z",
    "x-amz-security-token": "IQoJb3JpZ2luX2VjEXAMPLE",
    "x-amz-signature": "5f4dcc3b5aa765d61d8327deb882cf992b95990a9151374abd8ff8c5a7a0fe08",
}
UPLOAD_ORDER = closed(
    {
        "dataset": _DATASET,
        "filename": text(
            "new.csv",
            maxLength=upload_forms.MAX_NAME,
            pattern=json_patterns.FILE_NAME,
            description="without folders; `${filename}` must not be in it",
        ),
        "size": {
            "type": "integer",
            "minimum": 1,
            "maximum": upload_forms.MAX_SIZE,
            "description": "bytes; S3 refuses a larger file",
            "examples": [65536],
        },
    },
    description="A file that is to be sent.",
)
UPLOAD_ORDERED = closed(
    {
        "load_id": {**LOAD_ID, "description": "of the load that waits for the file, at `/loads/{load_id}`"},
        "status_url": _STATUS_URL,
        "url": text(
            "https://hireflow-landing.s3.amazonaws.com/",
            format="uri",
            description="where to POST the form, as multipart/form-data",
        ),
        "fields": closed(
            {name: text(value) for name, value in _FORM_FIELDS.items()},
            optional=("x-amz-security-token",),
            description="the form's fields, to be sent before the file, which comes last as `file`",
        ),
        "key": text(_KEY, pattern="^uploads/[1-9][0-9]*/", description="what the file is called in the bucket"),
        "expires_at": {**_TIME, "description": "sending has to begin before"},
    },
    description="A form that S3 takes, as often as it is sent until it expires.",
)
RESTORE_ORDER = _or_null(
    closed(
        {"restore_point": _or_null({**RESTORE_POINT, "description": "the newest complete one where it is left out"})},
        optional=("restore_point",),
    )
)
ORDERED = closed(
    {"load_id": LOAD_ID, "restore_point": RESTORE_POINT, "status_url": _STATUS_URL},
)
_QUARTERS = {f"q{n}": count(about=f"hires in quarter {n}", example=n % 4) for n in range(1, 5)}
_DEPARTMENT, _JOB = text("Staff"), text("Recruiter")
_YEAR: Json = {"type": "integer", "minimum": 1, "maximum": 9999, "examples": [2021]}
_HIRED = count(example=6)
_OF_A_YEAR: dict[str, Json] = {"department": _DEPARTMENT, "job": _JOB, **_QUARTERS}
QUARTERLY: Json = {"type": "array", "items": closed(_OF_A_YEAR)}
QUARTERLY_BY_YEAR: Json = {"type": "array", "items": closed({"year": _YEAR, **_OF_A_YEAR})}
YEARS = closed({"years": {"type": "array", "items": closed({"year": _YEAR, "hired": _HIRED})}})
TOP: Json = {
    "type": "array",
    "items": closed(
        {"id": {"type": "integer", "minimum": 1, "maximum": MAX_ID}, "department": _DEPARTMENT, "hired": _HIRED},
    ),
}
_COUNTS = {"received": 3, "inserted": 2, "updated": 0, "unchanged": 0, "superseded": 0, "rejected": 1}
LOAD = closed(
    {
        "id": {**LOAD_ID, "description": "larger than those of earlier loads"},
        "dataset": {**_or_null(_DATASET), "description": "null for an object whose name tells none"},
        "source": text(
            "s3://hireflow-landing/departments_new.csv",
            description="where the rows came from: the object's address, or the request's path",
        ),
        "kind": {"type": "string", "enum": ["csv", "api", "restore"]},
        "status": {"type": "string", "enum": list(STATUSES), "examples": ["succeeded"]},
        **{name: count(example=example) for name, example in _COUNTS.items()},
        "resolved": count(about="rejected rows that were loaded later, once their parents had come"),
        "attempts": count(example=1),
        "errored_key": _or_null(
            text("departments/20210727T160208.123456Z-7.ndjson"), description="the rejects' file in the errored bucket"
        ),
        "restore_point": _or_null(RESTORE_POINT, examples=[None]),
        "correlation_id": _or_null(
            CORRELATION_ID,
            description="of the request that asked for it; null for an object that was put into the landing bucket",
        ),
        "created_at": _TIME,
        "started_at": _or_null(_TIME),
        "finished_at": _or_null(_TIME),
        "error": _or_null({"type": "string"}, description="why it failed or was skipped", examples=[None]),
    },
    description="One object version, request or restore, and what became of its rows.",
)
LOADS = closed(
    {
        "loads": {"type": "array", "items": ref("Load"), "description": "newest first"},
        "next_cursor": _or_null(text("7", pattern="^[1-9][0-9]*$"), description="null on the last page"),
    }
)
REASONS: Json = {
    "type": "array",
    "description": "how many rows were rejected for each kind of reason, most first; a row may have several",
    "items": closed({"reason": text("job is missing"), "count": {**count(example=1), "minimum": 1}}),
}
_TRUNCATED: Json = {
    "type": "boolean",
    "description": "whether `rejects` has fewer records than were asked for and exist: they are too large for more",
    "examples": [False],
}
_REJECT: dict[str, Json] = {
    "reasons": {"type": "array", "items": text("job is missing"), "minItems": 1},
    "fields": REJECTED["properties"]["fields"],
    "raw": text("2,", description="what was sent; what is no text in it is replaced"),
    "row": {
        **_or_null(closed({name: _or_null(text("2")) for name in _COLUMNS}, optional=tuple(_COLUMNS))),
        "description": "by column; null where it could not be split",
        "examples": [{"id": "2", "job": ""}],
    },
}
_LINE: Json = {**count(example=2), "minimum": 1, "description": "its first line in the file, from 1"}
CHECK = closed(
    {
        "dataset": _DATASET,
        **{name: count() for name in ("received", "inserted", "updated", "unchanged", "superseded", "rejected")},
        "reasons": REASONS,
        "rejects": {"type": "array", "items": closed({"line": _LINE, **_REJECT})},
        "truncated": _TRUNCATED,
    },
    description="received = inserted + updated + unchanged + superseded + rejected.",
)
REJECT = closed(
    {
        "load_id": LOAD_ID,
        "dataset": _DATASET,
        "source": text("s3://hireflow-local-landing/jobs.csv"),
        "line": _LINE,
        "index": count(MAX_ROWS - 1, "of a request's row, in the place of `line`"),
        **_REJECT,
        "rejected_at": _TIME,
        "raw_base64": text("Miz/", description="the bytes that were sent, where `raw` cannot show them all"),
    },
    optional=("line", "index", "raw_base64"),
    description="A line of the rejects' file.",
)
REJECTS = closed(
    {
        "load_id": LOAD_ID,
        "rejected": count(),
        "resolved": count(about="rejected rows that were loaded later, once their parents had come"),
        "reasons": REASONS,
        "rejects": {"type": "array", "items": ref("Reject"), "description": "the first ones"},
        "truncated": _TRUNCATED,
        "url": {
            **_or_null(
                text("https://hireflow-prod-errored.s3.eu-west-1.amazonaws.com/jobs/20210727T160208.123456Z-7.ndjson?…")
            ),
            "description": "all of them as NDJSON, for whoever has this address; null where there is no file",
        },
        "expires_at": {**_or_null(_TIME), "description": "when `url` ends"},
    }
)
_SHA256 = text("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", pattern="^[0-9a-f]{64}$")
_FILE = closed({"rows": count(example=2), "bytes": count(example=347), "sha256": _SHA256})
BACKUPS = closed(
    {
        "backups": {
            "type": "array",
            "description": "newest first",
            "items": closed(
                {
                    "restore_point": RESTORE_POINT,
                    "created_at": _TIME,
                    "verified_at": {
                        **_or_null(_TIME),
                        "description": "when it was last re-read and found sound; null where it was not, or not yet",
                    },
                    "tables": closed(dict.fromkeys(DATASETS, _FILE), optional=tuple(DATASETS)),
                }
            ),
        },
        "next_cursor": _or_null(RESTORE_POINT, description="null on the last page", examples=[None]),
    }
)
_STATE: Json = {"type": "string", "enum": ["ok", "unavailable"]}
_LAST_BACKUP = closed({"restore_point": RESTORE_POINT, "age_seconds": {"type": "number", "examples": [81.4]}})
_PARTS: dict[str, Json] = {
    **dict.fromkeys(("database", "landing_bucket", "errored_bucket", "backup_bucket"), _STATE),
    "last_backup": {
        "anyOf": [_LAST_BACKUP, {"type": "null"}],
        "description": "null before the first one, and while a part is away",
    },
    "dead_letters": {
        **_or_null(count()),
        "description": "about how many events wait for a redrive, null where their queue cannot be asked",
    },
}
HEALTH = closed({"status": _STATE, **_PARTS}, optional=tuple(_PARTS), dependentRequired=together(_PARTS))
_ANY: Json = {"type": "object"}
PAGE = text("<!doctype html>…", description="an HTML page")
FILE = text("/* … */", description="a style sheet or a script")
_ANY_LIST: Json = {"type": "array", "items": _ANY}
DOCUMENT = closed(
    {
        "openapi": text("3.1.1", pattern=r"^3\.1\."),
        "info": _ANY,
        "servers": _ANY_LIST,
        "tags": _ANY_LIST,
        "paths": _ANY,
        "components": _ANY,
    }
)


def components() -> dict[str, Json]:
    rows = {row_name(dataset): row(dataset) for dataset in DATASETS.values()}
    batches = {f"{row_name(dataset)}Batch": batch(dataset) for dataset in DATASETS.values()}
    return {
        **rows,
        **batches,
        "Inserted": uploaded("inserted"),
        "Kept": uploaded("updated", "unchanged"),
        "BatchResult": BATCH,
        "Rejected": REJECTED,
        "UploadOrder": UPLOAD_ORDER,
        "UploadOrdered": UPLOAD_ORDERED,
        "RestoreOrder": RESTORE_ORDER,
        "RestoreOrdered": ORDERED,
        "QuarterlyHires": QUARTERLY,
        "QuarterlyHiresByYear": QUARTERLY_BY_YEAR,
        "YearsWithHires": YEARS,
        "TopDepartments": TOP,
        "Load": LOAD,
        "Loads": LOADS,
        "Check": CHECK,
        "Reject": REJECT,
        "Rejects": REJECTS,
        "Backups": BACKUPS,
        "Health": HEALTH,
    }
