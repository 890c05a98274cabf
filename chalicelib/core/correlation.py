"""One id for a request and all that comes of it: its answer, its log lines, the load it makes, that load's log lines,
and the objects in S3 that belong to the load. `api.http.requests` chooses it.
"""

import re

HEADER = "X-Correlation-Id"
PATTERN = "[A-Za-z0-9._-]{1,64}"  # goes as it is into headers, metadata of objects, log lines and searches
_SANE = re.compile(PATTERN)


def is_sane(text: str) -> bool:
    return _SANE.fullmatch(text) is not None


def metadata(load_id: int, correlation_id: str | None) -> dict[str, str]:
    """What an object says of the load it belongs to: `x-amz-meta-load-id` and `x-amz-meta-correlation-id`."""
    request = {"correlation-id": correlation_id} if correlation_id and is_sane(correlation_id) else {}
    return {"load-id": str(load_id), **request}
