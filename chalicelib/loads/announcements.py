"""Loads that are there before their objects: an ordered restore, and an upload whose form was handed out.

The first object version that comes under an announced key belongs to the load that announced it.
"""

from datetime import timedelta

from chalicelib.cloud.database import Session
from chalicelib.core.datasets import Dataset

NEVER_CAME = "no file came while its form was good; one that comes later is a load of its own"
CANCELLED = "cancelled before its file came; one that comes later is a load of its own"


# Loads that wait for an object which has no version yet. An order to restore keeps its object, even when it was given
# up. The file of an upload that has expired is a load of its own, because nobody follows the announced one any longer.
AWAITS_OBJECT = "(version IS NULL AND (kind = 'restore' OR (kind = 'csv' AND status = 'queued')))"


def queue_restore(
    session: Session,
    dataset: Dataset,
    landing_bucket: str,
    restore_point: str,
    sha256: str,
    correlation_id: str | None = None,
) -> tuple[int, str]:
    """Announce a restore before its object is copied; returns the load's id and the object's key."""
    place = (landing_bucket, "restores", f"{dataset.name}.avro")
    return _announce(session, dataset, place, "restore", correlation_id, restore_point=restore_point, sha256=sha256)


def queue_upload(
    session: Session, dataset: Dataset, landing_bucket: str, base_name: str, correlation_id: str | None = None
) -> tuple[int, str]:
    """Announce a CSV file before somebody sends it. `base_name` has to begin with its dataset's name."""
    return _announce(session, dataset, (landing_bucket, "uploads", base_name), "csv", correlation_id)


def _announce(
    session: Session,
    dataset: Dataset,
    place: tuple[str, str, str],
    kind: str,
    correlation_id: str | None,
    *,
    restore_point: str | None = None,
    sha256: str | None = None,
) -> tuple[int, str]:
    """A load that waits for an object; `place` is its bucket, the folder of the load's folder, and its base name."""
    bucket, folder, base_name = place
    load_id = int(session.scalar("SELECT nextval(pg_get_serial_sequence('loads', 'id'))"))
    key = f"{folder}/{load_id}/{base_name}"
    session.run(
        "INSERT INTO loads (id, dataset, source, kind, status, restore_point, sha256, correlation_id)"
        " OVERRIDING SYSTEM VALUE"
        " VALUES (:id, :dataset, :source, :kind, 'queued', :restore_point, :sha256, :correlation_id)",
        id=load_id,
        dataset=dataset.name,
        source=f"s3://{bucket}/{key}",
        kind=kind,
        restore_point=restore_point,
        sha256=sha256,
        correlation_id=correlation_id,
    )
    return load_id, key


def expire_uploads(session: Session, wait: timedelta) -> int:
    """Fail the announced uploads whose files have not come for so long; returns how many.

    One statement decides: a file that comes at the same moment finds its load queued, or begins another.
    """
    return session.affected(
        "UPDATE loads SET status = 'failed', finished_at = now(), error = :error"
        " WHERE version IS NULL AND kind = 'csv' AND status = 'queued'"
        " AND queued_at < now() - CAST(:wait AS interval)",
        error=NEVER_CAME,
        wait=f"{wait.total_seconds()} seconds",
    )


def cancel_upload(session: Session, load_id: int) -> str | None:
    """End an announced upload that still waits for its file; its source, None if it does not wait.

    One statement decides, as in `expire_uploads`: a file that comes at the same moment has its load, or finds it ended
    and begins another.
    """
    source = session.scalar(
        "UPDATE loads SET status = 'skipped', finished_at = now(), error = :error"
        " WHERE id = :id AND version IS NULL AND kind = 'csv' AND status = 'queued' RETURNING source",
        id=load_id,
        error=CANCELLED,
    )
    return None if source is None else str(source)
