"""Declares every exception that Hireflow raises on purpose, with the HTTP status of the response.

    HireflowError
    ├── ConfigurationError          500  a setting is missing or malformed
    ├── MalformedRequest            400  the body is not JSON, or cannot be read
    ├── Unauthenticated             401  the token is missing or unknown
    ├── Forbidden                   403  the token's role may not do this
    ├── NotFound                    404  the load, restore point or file does not exist
    ├── TooLate                     409  it is too late for this operation
    ├── TooLarge                    413  the body is too large, or has more rows than a batch may have
    ├── UnsupportedMedia            415  the route does not accept this media type or character encoding
    ├── Unprocessable               422  the request is well-formed, but breaks a rule
    ├── Unavailable                 503  try again later; the response has the header Retry-After
    │   ├── DatabaseUnavailable          Postgres cannot be reached, or broke the connection
    │   │   └── TooManyConnections       there is no room for another connection
    │   ├── LockTimeout                  another writer held the table's lock for too long
    │   ├── Conflict                     deadlock or serialization failure; nothing was written
    │   ├── StorageUnavailable           S3 cannot be reached
    │   └── OutOfTime               504  the work was stopped at its deadline, before the caller's timeout
    ├── LoadError                        the object can never be loaded; the load is not retried
    └── RetryLater                       Lambda should deliver the event again
        ├── LoadBusy                         another worker has claimed the load
        ├── LoadGivenUp                      the load has no attempts left; a redrive gives the load new attempts
        └── ClaimLost                        another worker took over the load

A class without a number has the status of its parent class. HireflowError has the status 500.

The API builds a response in the form of RFC 9457 from `status`, `title` and `detail`. `detail` is written for the
client and never contains SQL, credentials or a traceback.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar


class HireflowError(Exception):
    """Base class. A response may show `detail` to any client."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        extension: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)
        self.extension = dict(extension or {})


class ConfigurationError(HireflowError):
    title = "Misconfigured"


class MalformedRequest(HireflowError):
    status = 400
    title = "Malformed request"


class Unauthenticated(HireflowError):
    status = 401
    title = "Unauthenticated"


class Forbidden(HireflowError):
    status = 403
    title = "Forbidden"


class NotFound(HireflowError):
    status = 404
    title = "Not found"


class TooLate(HireflowError):
    status = 409
    title = "Conflict"


class TooLarge(HireflowError):
    status = 413
    title = "Too large"


class UnsupportedMedia(HireflowError):
    status = 415
    title = "Unsupported media type"


class Unprocessable(HireflowError):
    status = 422
    title = "Unprocessable content"


class Unavailable(HireflowError):
    """A temporary condition. `retry_after` is in seconds."""

    status = 503
    title = "Temporarily unavailable"
    retry_after: ClassVar[int] = 5


class DatabaseUnavailable(Unavailable):
    pass


class TooManyConnections(DatabaseUnavailable):
    pass


class LockTimeout(Unavailable):
    pass


class Conflict(Unavailable):
    retry_after = 1


class StorageUnavailable(Unavailable):
    pass


class OutOfTime(Unavailable):
    status = 504
    title = "Timed out"


class LoadError(HireflowError):
    title = "Load failed"


class RetryLater(HireflowError):
    title = "Retry later"


class LoadBusy(RetryLater):
    pass


class LoadGivenUp(RetryLater):
    pass


class ClaimLost(RetryLater):
    pass


def _all(kind: type[HireflowError]) -> Iterator[type[HireflowError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _all(narrower)


def _titles() -> dict[int, tuple[str, ...]]:
    by_status: dict[int, dict[str, None]] = {}
    for kind in _all(HireflowError):
        by_status.setdefault(kind.status, {})[kind.title] = None
    return {status: tuple(titles) for status, titles in by_status.items()}


TITLES = _titles()  # for each HTTP status, the titles of its errors
