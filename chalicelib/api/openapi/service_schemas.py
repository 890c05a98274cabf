"""Declares the schemas of restore points and restores, of the state of the service, and of pages for browsers."""

from chalicelib.api.openapi.json_schema import (
    A_TIME,
    LOAD_ID,
    RESTORE_POINT,
    STATUS_URL,
    Json,
    closed,
    count,
    or_null,
    text,
    together,
)
from chalicelib.core.datasets import DATASETS

RESTORE_ORDER = or_null(
    closed(
        {"restore_point": or_null({**RESTORE_POINT, "description": "default: the newest complete restore point"})},
        optional=("restore_point",),
    )
)
ORDERED = closed(
    {"load_id": LOAD_ID, "restore_point": RESTORE_POINT, "status_url": STATUS_URL},
)
_SHA256 = text("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", pattern="^[0-9a-f]{64}$")
_FILE = closed({"rows": count(example=2), "bytes": count(example=347), "sha256": _SHA256})
_TABLES: Json = {
    "type": "object",
    "description": "the files of the restore point. If a later release has made it, it may have tables that this"
    " release does not have; they cannot be restored. If an earlier release has made it, tables may be missing",
    "properties": dict.fromkeys(DATASETS, _FILE),
    "additionalProperties": _FILE,
}
BACKUPS = closed(
    {
        "backups": {
            "type": "array",
            "description": "newest first",
            "items": closed(
                {
                    "restore_point": RESTORE_POINT,
                    "created_at": A_TIME,
                    "verified_at": {
                        **or_null(A_TIME),
                        "description": "when the restore point was verified; null if it is not verified",
                    },
                    "previous_database": {
                        **or_null(RESTORE_POINT),
                        "description": "the last restore point of the previous database, which this database has"
                        " replaced; null if there was no previous database, or if that restore point has been restored",
                    },
                    "tables": _TABLES,
                }
            ),
        },
        "next_cursor": or_null(RESTORE_POINT, description="null on the last page", examples=[None]),
    }
)
DISK_FULL = "the disk of the database is full"
_STATE: Json = {"type": "string", "enum": ["ok", "unavailable"]}
_LAST_BACKUP = closed({"restore_point": RESTORE_POINT, "age_seconds": {"type": "number", "examples": [81.4]}})
_PARTS: dict[str, Json] = {
    **dict.fromkeys(("database", "landing_bucket", "errored_bucket", "backup_bucket"), _STATE),
    "last_backup": {
        "anyOf": [_LAST_BACKUP, {"type": "null"}],
        "description": "null before the first backup, and while the database or a bucket is unavailable",
    },
    "dead_letters": {
        **or_null(count()),
        "description": "the approximate number of events that wait for a redrive; null if their queue is unavailable",
    },
}
_LETTERS_AGE: Json = {
    "type": "number",
    "minimum": 0,
    "description": "how many seconds ago `dead_letters` was measured; missing if this was less than three minutes ago,"
    " and on stages that do not have the profile `tiny`",
    "examples": [312.5],
}
_DETAIL = text(
    DISK_FULL,
    description="why the database does not work; missing if it works. A caller without a token does not see it",
)
HEALTH = closed(
    {"status": _STATE, "detail": _DETAIL, **_PARTS, "dead_letters_age_seconds": _LETTERS_AGE},
    optional=("detail", *_PARTS, "dead_letters_age_seconds"),
    dependentRequired={**together(_PARTS), "dead_letters_age_seconds": ["dead_letters"]},
)
DATABASE_AWAY: Json = {
    "status": "unavailable",
    "detail": DISK_FULL,
    "database": "unavailable",
    **dict.fromkeys(("landing_bucket", "errored_bucket", "backup_bucket"), "ok"),
    "last_backup": None,
    "dead_letters": 0,
}
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
