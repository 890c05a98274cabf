"""The rejects of a load, shown: why there are any, the first of them, and where all of them are."""

from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.cloud.buckets import Bucket
from chalicelib.cloud.database import Session
from chalicelib.core import timestamps
from chalicelib.core.errors import NotFound
from chalicelib.ingest.reject_files import first_records
from chalicelib.loads import history

URL_SECONDS = 15 * 60  # for which the URL of a reject file is good


def of_load(session: Session, errored: Bucket, load_id: int, limit: int) -> dict[str, Any]:
    """{"load_id", "rejected", "resolved", "reasons", "rejects", "truncated", "url", "expires_at"}.

    `rejects` are the first `limit` records of the reject file as they stand there, fewer (`truncated`) where they
    are too large. Raises NotFound for a load that there is not.
    """
    row = history.rejected(session, load_id)
    if row is None:
        raise NotFound(f"there is no load {load_id}")
    key = row.pop("errored_key")
    return {"load_id": load_id, **row, **_file(errored, key, min(limit, row["rejected"]))}


def _file(bucket: Bucket, key: str | None, wanted: int) -> dict[str, Any]:
    """What a reject file holds and where it is; nothing of one that has expired."""
    nothing = {"rejects": [], "truncated": False, "url": None, "expires_at": None}
    if key is None:
        return nothing
    try:
        records = first_records(bucket, key, wanted).records
    except NotFound:
        return nothing
    until = datetime.now(UTC) + timedelta(seconds=URL_SECONDS)
    return {
        "rejects": records,
        "truncated": len(records) < wanted,
        "url": bucket.presigned_get(key, seconds=URL_SECONDS),
        "expires_at": timestamps.text(until, "seconds"),
    }
