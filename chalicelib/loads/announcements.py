"""Announced loads, which exist before their objects: an ordered restore, or an upload for which a client got a form.

The first object version that arrives under an announced key belongs to the announced load.
"""

from datetime import timedelta

from chalicelib.cloud.database import Session
from chalicelib.core.datasets import Dataset

NEVER_CAME = "no file arrived before the form expired; a file that arrives later gets a new load"
CANCELLED = "cancelled before its file arrived; a file that arrives later gets a new load"


# SQL: announced loads to which no object version has been assigned yet. A restore gets its object even after it was
# given up. A file that arrives after its upload expired gets a new load, because no client follows the announced load
# any longer.
AWAITS_OBJECT = "(version IS NULL AND (kind = 'restore' OR (kind <> 'api' AND status = 'queued')))"


def queue_restore(
    session: Session,
    dataset: Dataset,
    landing_bucket: str,
    restore_point: str,
    sha256: str,
    correlation_id: str | None = None,
) -> tuple[int, str]:
    """Announce a restore before its object is copied. Returns the load's id and the object's key."""
    place = (landing_bucket, "restores", f"{dataset.name}.avro")
    return _announce(session, dataset, place, "restore", correlation_id, restore_point=restore_point, sha256=sha256)


def queue_upload(
    session: Session,
    dataset: Dataset,
    landing_bucket: str,
    base_name: str,
    correlation_id: str | None = None,
    kind: str = "csv",
) -> tuple[int, str]:
    """Announce a file before a client sends it. `base_name` has to begin with the dataset's name.

    Returns the load's id and the object's key.
    """
    return _announce(session, dataset, (landing_bucket, "uploads", base_name), kind, correlation_id)


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
    """Create a load that waits for an object. `place` is the object's bucket, its top folder and its base name. Between
    these two, the key has a folder that is named after the load's id."""
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
    """Fail the announced uploads whose files have not arrived within `wait`. Returns how many.

    A single statement decides. A file that arrives at the same moment either gets its announced load or a new load.
    """
    return session.affected(
        "UPDATE loads SET status = 'failed', finished_at = now(), error = :error"
        " WHERE version IS NULL AND kind = 'csv' AND status = 'queued'"
        " AND queued_at < now() - CAST(:wait AS interval)",
        error=NEVER_CAME,
        wait=f"{wait.total_seconds()} seconds",
    )


def cancel_upload(session: Session, load_id: int) -> str | None:
    """Cancel an announced upload that still waits for its file. Returns its source, or None if it does not wait.

    A single statement decides, as in `expire_uploads`. A file that arrives at the same moment either gets its announced
    load, which is then not cancelled, or a new load.
    """
    source = session.scalar(
        "UPDATE loads SET status = 'skipped', finished_at = now(), error = :error"
        " WHERE id = :id AND version IS NULL AND kind = 'csv' AND status = 'queued' RETURNING source",
        id=load_id,
        error=CANCELLED,
    )
    return None if source is None else str(source)
