"""Declares the event that is sent when a load has ended, and makes this event from a message of the outbox.

The event contains no row. The function `schema` describes the detail of the event. Tests compare sent events and the
documentation with this schema.
"""

from datetime import datetime
from typing import Any

from chalicelib.core.timestamps import text
from chalicelib.outbox.messages import Body

SOURCE, DETAIL_TYPE = "hireflow", "hireflow.load"
COUNTS = ("received", "inserted", "updated", "unchanged", "superseded", "rejected", "waiting")
MOST_REASONS = 10
_TIMES = ("created_at", "started_at", "finished_at")
_COPIED = (
    *("load_id", "dataset", "source", "kind", "status", *COUNTS, "error", "given_up", "attempts"),
    *("restore_point", "correlation_id"),
)
Json = dict[str, Any]


def detail(body: Body, stage: str, api_url: str) -> Json:
    """Return the detail of the event from the body of a message.

    The detail names the stage, because several stages may send events to one bus. Without the URL of the API, all links
    are null."""
    load = f"{api_url}/loads/{body['load_id']}" if api_url else None
    links = {
        "load": load,
        "rejects": f"{load}/rejects" if load and body["rejected"] else None,
        "page": f"{api_url}/#/load?id={body['load_id']}" if api_url else None,
    }
    times = {name: text(datetime.fromisoformat(body[name])) if body[name] else None for name in _TIMES}
    copied = {name: body[name] for name in _COPIED}
    reasons = sorted(body["reasons"], key=lambda reason: -int(reason["count"]))[:MOST_REASONS]
    return {"stage": stage, **copied, "reasons": reasons, **times, "links": links}


def schema() -> Json:
    """Return the JSON schema of the detail."""
    whole, string, maybe = {"type": "integer", "minimum": 0}, {"type": "string"}, {"type": ["string", "null"]}
    link = {"type": ["string", "null"], "format": "uri"}
    time = {"type": ["string", "null"], "format": "date-time"}
    reason = _closed({"reason": string, "code": maybe, "count": whole}, optional=("code",))
    properties: Json = {
        "stage": string,
        "load_id": {"type": "integer", "minimum": 1},
        "dataset": maybe,
        "source": string,
        "kind": {"enum": ["csv", "avro", "xlsx", "api", "restore"]},
        "status": {"enum": ["succeeded", "failed", "skipped"]},
        **dict.fromkeys(COUNTS, whole),
        "error": maybe,
        "given_up": {"type": "boolean"},
        "attempts": whole,
        "restore_point": maybe,
        "correlation_id": maybe,
        "reasons": {"type": "array", "maxItems": MOST_REASONS, "items": reason},
        **dict.fromkeys(_TIMES, time),
        "links": _closed(dict.fromkeys(("load", "rejects", "page"), link)),
    }
    return _closed(properties)


def _closed(properties: Json, optional: tuple[str, ...] = ()) -> Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
