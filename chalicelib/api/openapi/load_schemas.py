"""Declares the schemas of loads and of their rejects."""

from chalicelib.api.load_routes import KINDS, STATUSES
from chalicelib.api.openapi import upload_examples
from chalicelib.api.openapi.json_schema import (
    A_TIME,
    COLUMNS,
    CORRELATION_ID,
    DATASET,
    LOAD_ID,
    RESTORE_POINT,
    TIME,
    Json,
    closed,
    count,
    or_null,
    ref,
    text,
)
from chalicelib.api.openapi.upload_schemas import CODES_OF_REASONS, REJECTED
from chalicelib.api.row_routes import MAX_ROWS
from chalicelib.core.declarations import DELIMITERS
from chalicelib.core.reasons import CODES, OTHER_CODE

_SOURCE = "api:/job/upload/batch"
_COUNTS = {"received": 2, "inserted": 1, "updated": 0, "unchanged": 0, "superseded": 0, "rejected": 1}
_EXAMPLE: Json = {  # the load of a batch of two jobs; the second job has no name
    "id": 7,
    "dataset": "jobs",
    "source": _SOURCE,
    "kind": "api",
    "status": "succeeded",
    **_COUNTS,
    "waiting": 0,
    "resolved": 0,
    "format": None,
    "notices": [],
    "attempts": 1,
    "errored_key": "jobs/20210727T160208.123456Z-7.ndjson",
    "restore_point": None,
    "correlation_id": "import-2021-07-27",
    "created_at": TIME,
    "started_at": TIME,
    "finished_at": TIME,
    "error": None,
}
_REJECT_EXAMPLE: Json = {
    "load_id": 7,
    "dataset": "jobs",
    "source": _SOURCE,
    "index": 1,
    "reasons": ["job is missing"],
    "fields": ["job"],
    "codes": ["missing"],
    "raw": '{"id": 9002, "job": ""}',
    "row": {"id": "9002", "job": ""},
    "rejected_at": TIME,
    "resolved": False,
    "waiting": False,
}
FORMAT: Json = closed(
    {
        "type": {"type": "string", "enum": ["csv", "avro", "xlsx"]},
        "delimiter": or_null({"type": "string", "enum": [*DELIMITERS.values()]}, examples=[","]),
        "encoding": or_null(text("utf-8")),
        "header": {"type": "boolean", "description": "whether columns were found by their names", "examples": [False]},
        "ignored_columns": {
            "type": "array",
            "items": text("note"),
            "description": "the names of columns that the dataset does not have; a load ignores them",
        },
    },
    description="how a file was understood; `delimiter` and `encoding` are null for an Avro or XLSX file",
    examples=[upload_examples.FORMAT],
)
NOTICES: Json = {
    "type": "array",
    "items": text("these words were read as text: 2 × NULL; leave a field empty if its value is missing"),
    "description": "sentences about what looks odd in the file",
    "examples": [[]],
}
LOAD = closed(
    {
        "id": {**LOAD_ID, "description": "this id is larger than the ids of earlier loads"},
        "dataset": {**or_null(DATASET), "description": "null if the object's name begins with no dataset"},
        "source": text(
            "s3://hireflow-landing/departments_new.csv",
            description="the origin of the rows: the address of the object, or the path of the request",
        ),
        "kind": {"type": "string", "enum": [*KINDS], "examples": ["api"]},
        "status": {"type": "string", "enum": list(STATUSES), "examples": ["succeeded"]},
        **{name: count(example=example) for name, example in _COUNTS.items()},
        "waiting": count(about="rejected rows that still wait for their parents; they are loaded when these exist"),
        "resolved": count(about="rejected rows that a later load has loaded"),
        "format": or_null(FORMAT, description="how the file was understood; null without a file", examples=[None]),
        "notices": NOTICES,
        "attempts": count(example=1),
        "errored_key": or_null(
            text("departments/20210727T160208.123456Z-7.ndjson"),
            description="the key of the reject file in the errored bucket",
        ),
        "restore_point": or_null(RESTORE_POINT, examples=[None]),
        "correlation_id": or_null(
            CORRELATION_ID,
            description="the correlation id of the request; null for an object that was put into the landing bucket",
        ),
        "created_at": A_TIME,
        "started_at": or_null(A_TIME),
        "finished_at": or_null(A_TIME),
        "error": or_null({"type": "string"}, description="why the load failed or was skipped", examples=[None]),
    },
    description="The load of one object version, request or restore, with the counts of its rows.",
    examples=[_EXAMPLE],
)
LOADS = closed(
    {
        "loads": {
            "type": "array",
            "items": ref("Load"),
            "description": "newest first; fewer than `limit` if a response has no room for more",
        },
        "next_cursor": or_null(text("7", pattern="^[1-9][0-9]*$"), description="null on the last page"),
    }
)
REASONS: Json = {
    "type": "array",
    "description": "the number of rejected rows by reason, largest number first; a row may have several reasons",
    "items": closed(
        {
            "reason": text("job is missing"),
            "code": {
                "enum": [*CODES, OTHER_CODE, None],
                "description": "the stable name of the reason; null in loads of version 1.0",
                "examples": ["missing"],
            },
            "count": {**count(example=1), "minimum": 1},
        }
    ),
}
_TRUNCATED: Json = {
    "type": "boolean",
    "description": "whether `rejects` lacks requested records: they would be too large for a response, or the reject"
    " file lacks them",
    "examples": [False],
}
_REJECT: dict[str, Json] = {
    "reasons": {"type": "array", "items": text("job is missing"), "minItems": 1},
    "fields": REJECTED["properties"]["fields"],
    "codes": {**CODES_OF_REASONS, "examples": [["missing"]]},
    "raw": text("2,", description="the record as it was sent; bytes that are not valid text are replaced by U+FFFD"),
    "row": {
        **or_null(closed({name: or_null(text("2")) for name in COLUMNS}, optional=tuple(COLUMNS))),
        "description": "the values by column; null if the record could not be split into fields",
        "examples": [{"id": "2", "job": ""}],
    },
}
_LINE: Json = {
    **count(example=2),
    "minimum": 1,
    "description": "the number of the line where the record begins; the first line of the file has the number 1",
}
CHECK = closed(
    {
        "dataset": DATASET,
        "status": {"type": "string", "enum": ["succeeded", "failed"], "description": "how the load would end"},
        "error": or_null({"type": "string"}, description="why the load would fail", examples=[None]),
        "format": FORMAT,
        "notices": NOTICES,
        **{name: count() for name in ("received", "inserted", "updated", "unchanged", "superseded", "rejected")},
        "waiting": count(about="rejected rows that would wait for their parents"),
        "reasons": REASONS,
        "rejects": {"type": "array", "items": closed({"line": _LINE, **_REJECT})},
        "truncated": _TRUNCATED,
    },
    description=(
        "What a load would report. received = inserted + updated + unchanged + superseded + rejected, unless the load"
        " would fail. A failed load stores no rows, so it counts only received and rejected rows."
    ),
)
REJECT = closed(
    {
        "load_id": LOAD_ID,
        "dataset": DATASET,
        "source": text("s3://hireflow-local-landing/jobs.csv"),
        "line": _LINE,
        "index": count(MAX_ROWS - 1, "the position of the row in a request, from 0; such a record has no `line`"),
        **_REJECT,
        "rejected_at": A_TIME,
        "raw_base64": text("Miz/", description="the bytes that were sent, if `raw` cannot show all of them"),
        "resolved": {"type": "boolean", "description": "whether a later load has loaded the row"},
        "waiting": {"type": "boolean", "description": "whether the row still waits for its department or job"},
    },
    optional=("line", "index", "raw_base64", "codes"),  # version 1.0 wrote no codes
    description="A line of the reject file. `resolved` and `waiting` say what has happened to the row since the load.",
    examples=[_REJECT_EXAMPLE],
)
REJECTS = closed(
    {
        "load_id": LOAD_ID,
        "rejected": count(example=1),
        "resolved": count(about="rejected rows that a later load has loaded"),
        "waiting": count(about="rejected rows that still wait for their department or job"),
        "reasons": REASONS,
        "rejects": {"type": "array", "items": ref("Reject"), "description": "the first rejects that match the request"},
        "truncated": _TRUNCATED,
        "next_cursor": or_null(
            text("20", pattern="^(0|[1-9][0-9]*)$"), description="null if there are no more", examples=[None]
        ),
        "url": {
            **or_null(
                text("https://hireflow-prod-errored.s3.eu-west-1.amazonaws.com/jobs/20210727T160208.123456Z-7.ndjson?…")
            ),
            "description": "the reject file; anybody with this URL may read the file; null if there is no reject file",
        },
        "expires_at": {**or_null(A_TIME), "description": "the time when `url` expires"},
    }
)
