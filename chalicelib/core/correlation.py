"""The correlation id: one id for a request and for everything that the request causes.

The response, the request's log lines, its load, the log lines of that load, and the objects in S3 that belong to the
load all carry it. `api.http.requests` chooses the id.
"""

import re

HEADER = "X-Correlation-Id"
PATTERN = "[A-Za-z0-9._-]{1,64}"  # needs no escaping in headers, object metadata, log lines and searches
_SANE = re.compile(PATTERN)


def is_sane(text: str) -> bool:
    return _SANE.fullmatch(text) is not None


def metadata(load_id: int, correlation_id: str | None) -> dict[str, str]:
    """Return the metadata of an object that belongs to a load: S3 sends it in the headers `x-amz-meta-load-id` and
    `x-amz-meta-correlation-id`."""
    request = {"correlation-id": correlation_id} if correlation_id and is_sane(correlation_id) else {}
    return {"load-id": str(load_id), **request}
