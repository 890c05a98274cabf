"""The rejects of a load, shown: why there are any, the first of them, and where all of them are."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from chalicelib.cloud.buckets import Bucket
from chalicelib.cloud.database import Session
from chalicelib.core import timestamps
from chalicelib.core.errors import NotFound
from chalicelib.ingest.reject_files import first_records
from chalicelib.loads import history
from chalicelib.loads.outcomes import CountedReason

URL_SECONDS = 15 * 60  # for which the URL of a reject file is good


@dataclass(frozen=True)
class RejectSummary:
    """As the API shows it. `rejects` are the first records of the reject file as they stand there, fewer than were
    asked for (`truncated`) where they are too large. `url` leads to the whole file until `expires_at`; both are None
    where there is no file, or none any more."""

    load_id: int
    rejected: int
    resolved: int
    reasons: list[CountedReason]
    rejects: list[Mapping[str, object]]
    truncated: bool = False
    url: str | None = None
    expires_at: str | None = None


def of_load(session: Session, errored: Bucket, load_id: int, limit: int) -> RejectSummary:
    """The summary of a load, with its first `limit` rejects. Raises NotFound for a load that there is not."""
    row = history.reject_counts(session, load_id)
    if row is None:
        raise NotFound(f"there is no load {load_id}")
    summary = RejectSummary(load_id, row.rejected, row.resolved, row.reasons, [])
    return summary if row.errored_key is None else _with_file(summary, errored, row.errored_key, limit)


def _with_file(summary: RejectSummary, bucket: Bucket, key: str, limit: int) -> RejectSummary:
    """The same with what the reject file holds and where it is, unless it has expired."""
    wanted = min(limit, summary.rejected)
    try:
        records = first_records(bucket, key, wanted).records
    except NotFound:
        return summary
    until = datetime.now(UTC) + timedelta(seconds=URL_SECONDS)
    return replace(
        summary,
        rejects=records,
        truncated=len(records) < wanted,
        url=bucket.presigned_get(key, seconds=URL_SECONDS),
        expires_at=timestamps.text(until, "seconds"),
    )
