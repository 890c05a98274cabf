"""Decides what follows an attempt that raises an exception: the load fails for good, or is queued for another
attempt."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from chalicelib.cloud.database import Database
from chalicelib.core import deadline
from chalicelib.core.errors import HireflowError, LoadError
from chalicelib.ingest import durable_tables
from chalicelib.ingest.reject_files import RejectFile
from chalicelib.loads import claims
from chalicelib.loads.attempts import GAVE_UP
from chalicelib.loads.claims import Claim

ENDING = 10.0  # seconds for recording the end of a load after an error
_log = logging.getLogger("hireflow.ingest")


@dataclass(frozen=True)
class FailurePolicy:
    """Ends the load of `claim` after an error, or queues the load for another attempt. `rejects` is None if the dataset
    of the object is unknown.

    A load fails for good in two cases: an attempt raises a LoadError, because the object can never be loaded, or the
    last attempt raises any other error. The policy then removes the load's staging tables and its reject file, and
    calls `failed`.
    """

    database: Database
    claim: Claim
    rejects: RejectFile | None
    failed: Callable[[], None]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply the policy to the attempt in the `with` block. A LoadError is not raised again, because a retry would
        not help. Any other error is raised again, so that Lambda retries the event."""
        try:
            with self._aborting_the_report():
                yield
        except LoadError as error:
            _log.warning("load failed: %s", error.detail)
            self._fail(error.detail)
        except Exception as error:
            _log.warning("attempt %s of the load failed", self.claim.attempt, exc_info=True)
            reason = error.detail if isinstance(error, HireflowError) else "an internal error"
            # If the database is unavailable, these statements fail, too, and their failure is ignored. The next attempt
            # does not need them: the claim of this attempt has already been counted.
            with suppress(HireflowError), deadline.within(ENDING):
                self._give_up_or_hand_back(reason)
            raise

    @contextmanager
    def _aborting_the_report(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            if self.rejects is not None:
                with suppress(HireflowError), deadline.within(ENDING):
                    self.rejects.abort()
            raise

    def _give_up_or_hand_back(self, reason: str) -> None:
        if self.claim.is_last_attempt:
            self._fail(f"{GAVE_UP}: {reason}", given_up=True)
            return
        with self.database.session() as session:
            claims.requeue(session, self.claim, f"attempt {self.claim.attempt}: {reason}")

    def _fail(self, error: str, *, given_up: bool = False) -> None:
        with self.database.session() as session:
            has_failed = claims.fail(session, self.claim.load_id, error, given_up=given_up)
            if has_failed:
                durable_tables.discard(session, self.claim.load_id)
        if has_failed:
            self.failed()
            if self.rejects is not None:
                self.rejects.remove()
