"""Handles correlation ids. A request and everything that the request causes have the same correlation id.

The same id is in the response, in the log lines of the request, in the load of the request, in the log lines of this
load, and in the metadata of the load's objects in S3. `api.http.requests` chooses the id.
"""

import re

HEADER = "X-Correlation-Id"
# No character of such an id needs escaping in headers, object metadata, log lines and searches.
PATTERN = "[A-Za-z0-9._-]{1,64}"
_SANE = re.compile(PATTERN)


def is_sane(text: str) -> bool:
    return _SANE.fullmatch(text) is not None


def metadata(load_id: int, correlation_id: str | None) -> dict[str, str]:
    """Return the metadata of an object that belongs to a load. S3 sends the metadata in the headers
    `x-amz-meta-load-id` and `x-amz-meta-correlation-id`."""
    request = {"correlation-id": correlation_id} if correlation_id and is_sane(correlation_id) else {}
    return {"load-id": str(load_id), **request}
