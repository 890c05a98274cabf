"""Every exception Hireflow raises on purpose, and the HTTP status each one becomes.

    HireflowError
    ├── ConfigurationError          500  a setting is missing or malformed
    ├── MalformedRequest            400  the body is not JSON, or cannot be read
    ├── Unauthenticated             401  no token, or none of ours
    ├── Forbidden                   403  the token's role may not do this
    ├── NotFound                    404  no such load, restore point, file
    ├── TooLate                     409  what was asked for can no longer be done
    ├── TooLarge                    413  the body is too large, or holds more rows than one batch may
    ├── UnsupportedMedia            415  the route takes no body of this type or character encoding
    ├── Unprocessable               422  well-formed, but breaks a rule
    ├── Unavailable                 503  try again: carries Retry-After
    │   ├── DatabaseUnavailable          Postgres is away, or broke the connection
    │   ├── LockTimeout                  another writer held the table for too long
    │   ├── Conflict                     deadlock or serialisation failure; nothing was written
    │   ├── StorageUnavailable           S3 is away
    │   └── OutOfTime               504  the work was stopped before whoever waits gave up
    ├── LoadError                        an object can never load: final, not retried
    └── RetryLater                       the trigger should deliver the event again
        ├── LoadBusy                         another worker is on this load
        ├── LoadGivenUp                      the load has no attempt left; a redrive gives it new ones
        └── ClaimLost                        the load was taken over while we worked

`status` and `title` are all the API needs to answer in RFC 9457 form; `detail` is written for the
caller and never holds SQL, credentials or a traceback.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar


class HireflowError(Exception):
    """Base class. `detail` is safe to show to a client."""

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
    """A passing condition; `retry_after` is in seconds."""

    status = 503
    title = "Temporarily unavailable"
    retry_after: ClassVar[int] = 5


class DatabaseUnavailable(Unavailable):
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


TITLES = _titles()  # what the problems of each HTTP status are called
