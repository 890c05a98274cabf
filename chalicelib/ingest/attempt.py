"""Holds the state that all steps of one attempt at a load share."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from chalicelib.cloud.database import Session
from chalicelib.cloud.object_streams import ObjectStream, SmallObject
from chalicelib.cloud.storage import Storage
from chalicelib.core.dataset import Dataset
from chalicelib.core.errors import LoadError, NotFound
from chalicelib.core.streams import Attended, Hashed, Peekable
from chalicelib.ingest.reject_files import ReportedLoad
from chalicelib.loads.claims import Claim
from chalicelib.loads.object_versions import ObjectCreated


class ObjectBody:
    """An opened object: read `stream` to its end, then `verify`. S3 gives `etag`, `size` (bytes) and `metadata`.

    `attend` is called before each read. The connection that holds the claim has to be kept awake while much of an
    object is read without a statement: to skip what earlier invocations have staged, or to read a workbook."""

    def __init__(self, body: ObjectStream, sha256: str | None, attend: Callable[[], None]) -> None:
        self.size, self.etag, self.metadata = body.size, body.etag, body.metadata
        self._sha256 = sha256
        attended = Attended(body, attend)
        self._hashed = Hashed(attended) if sha256 else None
        self.stream = Peekable(self._hashed or attended)

    def verify(self) -> None:
        """Raise LoadError if the claim has a checksum, and the object has another checksum."""
        if self._hashed is not None and self._hashed.hexdigest() != self._sha256:
            raise LoadError("the backup file is damaged: its checksum differs from the checksum in its manifest")


class WorkTime:
    """The seconds that this invocation and the invocations before its handovers have worked on a load."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def resume(self, seconds: float) -> None:
        """Add the seconds that earlier invocations have worked."""
        self._began -= seconds

    def seconds(self) -> float:
        return time.monotonic() - self._began


@dataclass(frozen=True)
class Attempt:
    """The work of one invocation on a load. `session` is the connection that holds the claim."""

    session: Session
    storage: Storage
    claim: Claim
    created: ObjectCreated
    dataset: Dataset
    small: SmallObject = field(default_factory=SmallObject)

    def __post_init__(self) -> None:
        self.work_time.resume(0)  # the work begins now

    @cached_property
    def work_time(self) -> WorkTime:
        return WorkTime()

    @property
    def reported_load(self) -> ReportedLoad:
        claim = self.claim
        return ReportedLoad(self.dataset, claim.load_id, self.created.source, claim.started_at, claim.correlation_id)

    @contextmanager
    def opened(self, start: int = 0) -> Iterator[ObjectBody]:
        """Open the object, from byte `start` on. Raises StorageUnavailable, or LoadError if the object no longer
        exists. A small object is kept in memory, so that it can be opened again without a request."""
        body = self.small.again() if start == 0 else None
        try:
            body = body or self.storage.landing.open(self.created.key, self.created.version_id, start=start)
        except NotFound as error:
            raise LoadError("the object no longer exists") from error
        try:
            if start == 0:
                body = self.small.kept(body)
            yield ObjectBody(body, self.claim.sha256, self.session.keep_awake)
        finally:
            body.close()
