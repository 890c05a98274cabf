"""Declares the schemas of rows and files that clients send, and of the responses."""

from chalicelib.api.openapi.json_schema import (
    A_TIME,
    COLUMNS,
    DATASET,
    LOAD_ID,
    STATUS_URL,
    Json,
    closed,
    count,
    ref,
    text,
)
from chalicelib.api.row_routes import MAX_ROWS
from chalicelib.core import json_patterns
from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.declarations import DATES, DELIMITERS, ENCODINGS
from chalicelib.core.kinds.values import Value
from chalicelib.core.reasons import CODES
from chalicelib.core.value_limits import MAX_ID
from chalicelib.ingest import upload_forms
from chalicelib.ingest.file_names import ENDINGS

EXAMPLE_ID = 9001


def row_name(dataset: Dataset) -> str:
    return "".join(word.title() for word in dataset.route.split("_"))


def example_value(column: Column) -> Value:
    """Return an example for a column. Examples have other ids than the rows of the demo, so that they overwrite none of
    these rows."""
    assert column.example is not None
    return EXAMPLE_ID if column.name == "id" or column.parent else column.example


def _sent(column: Column) -> Json:
    """Return the schema of a value in a request."""
    must_be, schema = column.kind.schema()
    allowed = schema.get("anyOf", [schema])
    about = f"{column.about}: {must_be}{_beside(column)}".removeprefix(": ")
    if column.name == "id" or column.optional:
        allowed = [*allowed, {"type": "null"}, {"type": "string", "pattern": json_patterns.BLANK}]
    shape = {"anyOf": allowed} if len(allowed) > 1 else allowed[0]
    return {"description": about, **shape, "examples": [example_value(column)]}


def _beside(column: Column) -> str:
    """Return the part of a description about parents, null, and rows that leave the column out."""
    about = f"; a row with this id must exist in {column.parent}" if column.parent is not None else ""
    if column.name == "id":
        return about + "; if the id is left out, null or blank, the row gets a new id"
    if column.optional:
        about += "; null or a blank text sets the column to NULL"
    # The schema has no keyword `default`: a client might send the default, and so overwrite the value of a stored row.
    if column.may_be_absent:
        value = f"`{column.default_text}`" if column.default_text else "NULL"
        about += f"; if the column is left out, a stored row keeps its value, and a new row gets {value}"
    return about


def row(dataset: Dataset) -> Json:
    """Return the schema of a row in a request."""
    columns = {column.name: _sent(column) for column in dataset.columns}
    optional = ("id", *(column.name for column in dataset.columns if column.may_be_absent))
    return closed(columns, optional=optional, description=f"One row of {dataset.name}.")


def batch(dataset: Dataset) -> Json:
    about = "A row that breaks the rules does not affect the other rows. The response lists such a row in `rejected`."
    rows = {"type": "array", "description": about, "items": ref(row_name(dataset)), "minItems": 1, "maxItems": MAX_ROWS}
    return closed({"data": rows}, description=f"1 to {MAX_ROWS} rows of {dataset.name}.")


def uploaded(*outcomes: str) -> Json:
    """Return the schema of the response to one accepted row."""
    row_id = {"type": "integer", "minimum": 1, "maximum": MAX_ID, "examples": [EXAMPLE_ID]}
    return closed({"id": row_id, "outcome": {"type": "string", "enum": list(outcomes)}, "load_id": LOAD_ID})


CODE: Json = {"type": "string", "enum": list(CODES), "description": "the stable name of the reason"}
CODES_OF_REASONS: Json = {
    "type": "array",
    "items": CODE,
    "minItems": 1,
    "description": "the code of each reason, in the order of `reasons`",
    "examples": [["not_an_id"]],
}
REJECTED: Json = closed(
    {
        "index": count(MAX_ROWS - 1, "the position of the row in `data`, from 0"),
        "reasons": {"type": "array", "items": text(f"id is not a whole number from 1 to {MAX_ID}"), "minItems": 1},
        "fields": {
            "type": "array",
            "items": {"type": "string", "enum": COLUMNS},
            "uniqueItems": True,
            "description": "the columns that have problems",
        },
        "codes": CODES_OF_REASONS,
        "row": {
            "description": "the row as it was sent; left out if the response has no room for it",
            "examples": [{"id": "1.5"}],
        },
    },
    optional=("row",),
    description="A rejected row, with all its reasons. Of more than 20 unknown keys, only the first 20 are named.",
)
SUMMARY: dict[str, Json] = {
    "load_id": LOAD_ID,
    "received": {"type": "integer", "minimum": 1, "maximum": MAX_ROWS, "examples": [3]},
    **{name: count(MAX_ROWS, example=n) for name, n in (("inserted", 2), ("updated", 0), ("unchanged", 0))},
    "superseded": count(MAX_ROWS, "rows that a later row with the same id replaces"),
    "rejected": {"type": "array", "items": ref("Rejected"), "maxItems": MAX_ROWS},
    "truncated": {
        "const": True,
        "description": "present if `rejected` lacks rows, or rows lack `row`, because they would be too large for a"
        " response; the counts are complete, and `/loads/{load_id}/rejects` shows all rejected rows",
    },
}
SUMMARY_OPTIONAL = ("truncated",)
BATCH = closed(
    SUMMARY,
    optional=SUMMARY_OPTIONAL,
    description="received = inserted + updated + unchanged + superseded + rejected rows.",
)
_KEY = "uploads/7/jobs-new.csv"
_FORM_FIELDS = {
    "key": _KEY,
    "policy": "eyJleHBpcmF0aW9uIjogIjIwMjEtMDctMjdUMTc6MDI6MDhaIn0=",
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20210727/us-east-1/s3/aws4_request",
    "x-amz-date": "20210727T160208Z",
    "x-amz-signature": "5f4dcc3b5aa765d61d8327deb882cf992b95990a9151374abd8ff8c5a7a0fe08",
}
_OPTIONAL_FIELDS = {
    "x-amz-security-token": "IQoJb3JpZ2luX2VjEXAMPLE",
    "x-amz-meta-encoding": "windows-1252",
    "x-amz-meta-delimiter": "semicolon",
    "x-amz-meta-dates": "dmy",
    "x-amz-meta-max-rejected": "5%",
    "x-amz-meta-corrects": "7",
}
DECLARED: dict[str, Json] = {
    "encoding": {
        "type": "string",
        "enum": [*ENCODINGS],
        "description": "the encoding of the file, if it is not UTF-8 or UTF-16",
        "examples": ["windows-1252"],
    },
    "delimiter": {"type": "string", "enum": [*DELIMITERS], "description": "the character between two fields"},
    "dates": {
        "type": "string",
        "enum": [*DATES],
        "description": "the order of day and month in dates: 27/07/2021 (dmy) or 07/27/2021 (mdy); dates in ISO 8601"
        " are always valid",
    },
    "max-rejected": {
        "description": "the most rows that may be rejected: a count, or a share such as `5%`; if more rows are"
        " rejected, the load fails and stores no rows",
        "anyOf": [
            {"type": "string", "pattern": json_patterns.MAX_REJECTED},
            {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
        ],
        "examples": ["5%"],
    },
    "corrects": {
        "description": "the id of the load whose corrected rejects are in the file",
        "anyOf": [
            {"type": "string", "pattern": json_patterns.surrounded("0*[1-9][0-9]{0,17}")},
            {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
        ],
        "examples": ["7"],
    },
}
UPLOAD_ORDER = closed(
    {
        "dataset": DATASET,
        "filename": text(
            "new.csv",
            maxLength=upload_forms.MAX_NAME,
            pattern=json_patterns.file_name(ENDINGS),
            description="the name of the file, without folders; the name must not contain `${filename}`",
        ),
        "size": {
            "type": "integer",
            "minimum": 0,
            "maximum": upload_forms.MAX_SIZE,
            "description": "the size in bytes; S3 refuses a larger file; a stage may have a lower maximum",
            "examples": [65536],
        },
        **DECLARED,
    },
    optional=tuple(DECLARED),
    description="What a client says about a file before it sends the file.",
)
UPLOAD_ORDERED = closed(
    {
        "load_id": {**LOAD_ID, "description": "the id of the load that waits for the file, see `/loads/{load_id}`"},
        "status_url": STATUS_URL,
        "url": text(
            "https://hireflow-landing.s3.amazonaws.com/",
            format="uri",
            description="the address for a POST of the form as multipart/form-data",
        ),
        "fields": closed(
            {name: text(value) for name, value in (_FORM_FIELDS | _OPTIONAL_FIELDS).items()},
            optional=tuple(_OPTIONAL_FIELDS),
            description="the fields of the form; send them before the file, which is the last field, `file`",
        ),
        "key": text(_KEY, pattern="^uploads/[1-9][0-9]*/", description="the key of the file in the bucket"),
        "expires_at": {**A_TIME, "description": "the time until which S3 accepts the form"},
    },
    description="A form for sending a file. S3 accepts the form any number of times until the form expires.",
)
