"""Makes the summary of a load's rejects: the counts by reason, the first rejects, and a URL for the file with all of
them."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.cloud.buckets import Bucket
from chalicelib.cloud.database import Session
from chalicelib.core import timestamps
from chalicelib.core.answer_size import FirstRecords
from chalicelib.core.errors import NotFound
from chalicelib.ingest import open_rejects, orphans
from chalicelib.ingest.reject_files import records
from chalicelib.loads import history
from chalicelib.loads.outcomes import CountedReason

URL_SECONDS = 15 * 60  # how long the URL of a reject file is valid


@dataclass(frozen=True)
class Wanted:
    """Which rejects to show. `limit` is their number at most; None means all for which a response has room. The first
    `after` records of the reject file are skipped. Resolved rejects are shown only if `resolved` is true. If `code` is
    given, only rejects with this code are shown."""

    limit: int | None
    _: KW_ONLY
    resolved: bool = False
    code: str | None = None
    after: int = 0


@dataclass(frozen=True)
class RejectSummary:
    """The summary in the form that the API shows.

    `waiting` is the number of rows that still wait for their parents. `rejects` are records of the reject file. Each
    record also has `waiting` and `resolved`, which say whether its row still waits and whether a later load has loaded
    it. `truncated` is true if some of the requested records are left out: a response has no room for them, or the
    reject file lacks them.
    `next_cursor` is None if there are no more records. `url` is the URL of the whole file, and is valid until
    `expires_at`. `url` and `expires_at` are None if there is no reject file, or if S3 has already deleted it.
    """

    load_id: int
    rejected: int
    resolved: int
    waiting: int
    reasons: list[CountedReason]
    rejects: list[Mapping[str, Any]]
    truncated: bool = False
    next_cursor: str | None = None
    url: str | None = None
    expires_at: str | None = None


def of_load(session: Session, errored: Bucket, load_id: int, wanted: Wanted | None, grace: timedelta) -> RejectSummary:
    """Return the summary of a load, with the rejects that `wanted` describes. If `wanted` is None, because the caller
    may not see rows, the summary has only the counts and the reasons. `grace` is the grace period. Raises NotFound if
    there is no such load."""
    row = history.reject_counts(session, load_id)
    if row is None:
        raise NotFound(f"there is no load {load_id}")
    waiting = history.waiting(session, load_id, grace) if row.rejected else 0
    summary = RejectSummary(load_id, row.rejected, row.resolved, waiting, row.reasons, [])
    if row.errored_key is None or wanted is None:
        return summary
    tracked = history.rejected_file(session, load_id).tracked_rejects
    state = _State(open_rejects.of_load(session, load_id, orphans.interval(grace)), tracked)
    return _with_file(summary, errored, row.errored_key, wanted, state)


@dataclass(frozen=True)
class _State:
    """Which rejects of a load are open. `tracked` is the number of tracked rejects. Those of them that are open have
    their places in `waits`, with whether the row waits for a parent. Rejects that are not tracked are always open."""

    waits: Mapping[int, bool]
    tracked: int

    def told(self, number: int, record: dict[str, Any]) -> dict[str, Any]:
        """Return a record of the reject file with `resolved` and `waiting`."""
        place = record["line"] if "line" in record else record["index"]
        resolved = number <= self.tracked and place not in self.waits
        return {**record, "resolved": resolved, "waiting": self.waits.get(place, False)}


def _with_file(summary: RejectSummary, bucket: Bucket, key: str, wanted: Wanted, state: _State) -> RejectSummary:
    """Add the records and the URL of the reject file to `summary`, unless the file has expired."""
    first, following, last, found = FirstRecords(wanted.limit), None, wanted.after, 0
    try:
        for number, record in records(bucket, key, wanted.after):
            found = number
            told = state.told(number, record)
            if not _is_wanted(told, wanted):
                continue
            if not first.wanted:
                following = last
                break
            first.add(told)
            if first.is_cut:
                following = last if first.records else number  # skip a record that does not fit alone
                break
            last = number
    except NotFound:
        return summary
    # The last page may lack rejects: those that were not recorded, and those beyond the first READ bytes of the file.
    is_last_incomplete = following is None and max(found, wanted.after) < summary.rejected
    until = datetime.now(UTC) + timedelta(seconds=URL_SECONDS)
    return replace(
        summary,
        rejects=first.records,
        truncated=first.is_cut or is_last_incomplete,
        next_cursor=str(following) if following is not None else None,
        url=bucket.presigned_get(key, seconds=URL_SECONDS),
        expires_at=timestamps.text(until, "seconds"),
    )


def _is_wanted(told: Mapping[str, Any], wanted: Wanted) -> bool:
    is_shown = wanted.resolved or not told["resolved"]
    return is_shown and (wanted.code is None or wanted.code in told.get("codes", ()))
