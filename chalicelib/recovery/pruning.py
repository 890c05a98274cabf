"""Prunes the history: deletes the loads that ended longer ago than the setting LOAD_RETENTION_DAYS allows.

The load of an object is deleted only when the landing bucket has no version of the object's key any more. So pruning
never makes the product load a file again:
- The landing sweep offers every version that has no load. A version that still exists keeps its load.
- An older version of a key must not overwrite the rows of a newer one. The product knows the newest loaded version of a
  key from the loads of the key. As long as any version of the key exists, all loads of the key stay.

A version that S3 has deleted cannot come back: a copy of it is a new version, and gets a new load.

The pruning reads the loads in the order of their ids. After each page, it stores in the database how far it has come.
When its budget is used up, the next pruning continues there. After the last load, the pruning begins again with the
first load, because a load that had to stay may be deleted later.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from chalicelib.cloud.buckets import Bucket
from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.storage import Storage
from chalicelib.core.errors import Unavailable
from chalicelib.loads import old_loads
from chalicelib.loads.old_loads import OldLoad, Page
from chalicelib.recovery import turns

LOCK = (0x68697265, 2)  # an advisory lock of the database, so that only one sweep prunes at a time
_NO_OBJECT = "api"  # the kind of the loads that have no object
_log = logging.getLogger("hireflow.upkeep")


@dataclass(frozen=True)
class Budget:
    """Sets the limits of one pruning. `lookups` is the number of requests to S3 for the versions of a key. A page has
    `page` loads, which are deleted in one transaction."""

    seconds: float = 20.0
    lookups: int = 200
    page: int = 1000


BUDGET = Budget()


def prune(
    database: Database,
    storage: Storage,
    retention: timedelta,
    unrestored: Callable[[], str | None],
    budget: Budget = BUDGET,
) -> int:
    """Delete loads that ended longer ago than `retention`, with their reject files. Return the number of deleted loads.

    `unrestored` returns the restore point whose restore the next backup looks for in the history (see `backups.run`).
    The loads that have restored this point stay. If S3 is unavailable, this pruning ends, and the next one continues.
    Raises DatabaseUnavailable.
    """
    with database.session() as session:
        if not turns.begun(session, LOCK):
            return 0
        until = time.monotonic() + budget.seconds
        objects = _Objects(storage.landing, unrestored, budget.lookups, until)
        pruning = _Pruning(session, storage, retention, objects)
        with turns.ending(session, LOCK):
            try:
                pruning.run(budget.page, until)
            except Unavailable as error:
                if session.broken:
                    raise
                _log.warning("the pruning of loads ended early: %s", error.detail)
    return pruning.pruned


class _OutOfLookups(Exception):
    """The budget has no request to S3 left."""


@dataclass
class _Objects:
    """Finds out whether a load has to stay because of its object. `lookups` is the number of requests to S3 that are
    left. No request is sent after the time `until` of time.monotonic()."""

    landing: Bucket
    unrestored: Callable[[], str | None]
    lookups: int
    until: float
    _exists: dict[str, bool] = field(default_factory=dict)  # whether a source has any version

    def need(self, load: OldLoad) -> bool:
        """Return whether the load has to stay. Raises _OutOfLookups, Unavailable."""
        if load.kind == _NO_OBJECT:
            return False
        if load.restored is not None and load.restored == self._point:
            return True
        own = self.landing.url("")
        if not load.source.startswith(own):  # the functions cannot look into another bucket
            return True
        if load.source not in self._exists:
            if not self.lookups or time.monotonic() >= self.until:
                raise _OutOfLookups
            self.lookups -= 1
            self._exists[load.source] = self.landing.has_versions(load.source.removeprefix(own))
        return self._exists[load.source]

    @cached_property
    def _point(self) -> str | None:
        return self.unrestored()


@dataclass
class _Pruning:
    """One pruning. `pruned` counts the loads that it has deleted."""

    session: Session
    storage: Storage
    retention: timedelta
    objects: _Objects
    pruned: int = 0

    def run(self, size: int, until: float) -> None:
        """Read and delete pages of `size` loads, until the last page or the end of the budget. Raises Unavailable."""
        after = old_loads.cursor(self.session)
        while True:
            page = old_loads.page(self.session, after, self.retention, size)
            expired, after, failure = self._expired(page)
            self._delete(expired)
            is_end = page.is_last and after == page.last_id
            old_loads.save_cursor(self.session, 0 if is_end else after)
            if failure is not None:
                raise failure
            if is_end or after < page.last_id or time.monotonic() >= until:
                return

    def _expired(self, page: Page) -> tuple[list[OldLoad], int, Unavailable | None]:
        """Return the loads of a page that nothing needs, the id up to which the loads were examined, and the error if
        S3 is unavailable. If the request to S3 fails, the load stays until the pruning begins again."""
        expired: list[OldLoad] = []
        for load in page.loads:
            try:
                if not self.objects.need(load):
                    expired.append(load)
            except _OutOfLookups:
                return expired, load.load_id - 1, None
            except Unavailable as error:
                return expired, load.load_id, error
        return expired, page.last_id, None

    def _delete(self, loads: Sequence[OldLoad]) -> None:
        """Delete loads. Their reject files are deleted first. If the deletion of the loads then fails, the next pruning
        still finds the loads, and deletes them."""
        files = [load.errored_key for load in loads if load.errored_key is not None]
        if files:
            self.storage.errored.delete(*files)
        if loads:
            self.pruned += old_loads.delete(self.session, [load.load_id for load in loads], self.retention)
