"""Makes the summary of a load's rejects: the counts by reason, the first rejects, and a URL for the file with all of
them."""

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

URL_SECONDS = 15 * 60  # how long the URL of a reject file is valid


@dataclass(frozen=True)
class RejectSummary:
    """The summary in the form that the API shows. `rejects` are the first records of the reject file, unchanged.
    `truncated` is true if some of the requested records are left out, because a response has no room for them. `url` is
    the URL of the whole file, and is valid until `expires_at`. `url` and `expires_at` are None if there is no reject
    file, or if S3 has already deleted it."""

    load_id: int
    rejected: int
    resolved: int
    reasons: list[CountedReason]
    rejects: list[Mapping[str, object]]
    truncated: bool = False
    url: str | None = None
    expires_at: str | None = None


def of_load(session: Session, errored: Bucket, load_id: int, limit: int) -> RejectSummary:
    """Return the summary of a load, with its first `limit` rejects. Raises NotFound if there is no such load."""
    row = history.reject_counts(session, load_id)
    if row is None:
        raise NotFound(f"there is no load {load_id}")
    summary = RejectSummary(load_id, row.rejected, row.resolved, row.reasons, [])
    return summary if row.errored_key is None else _with_file(summary, errored, row.errored_key, limit)


def _with_file(summary: RejectSummary, bucket: Bucket, key: str, limit: int) -> RejectSummary:
    """Add the first records and the URL of the reject file to `summary`, unless the file has expired."""
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
