"""Creates announced loads, and ends those whose file does not arrive. An announced load exists before its object. Two
requests announce a load: a restore request, and a request for an upload form.

The first object version that arrives under the key of an announced load belongs to this load.
"""

from datetime import timedelta

from chalicelib.cloud.database import Session
from chalicelib.core.dataset import Dataset

NEVER_CAME = "no file arrived before the form expired; a file that arrives later gets a new load"
CANCELLED = "cancelled before its file arrived; a file that arrives later gets a new load"


# An SQL condition: the load is announced and waits for its first object version. A restore that was given up still
# waits for its object. An upload that has failed does not wait any more, because its client knows that it has failed.
# A file that arrives later gets a new load.
AWAITS_OBJECT = "(version IS NULL AND (kind = 'restore' OR (kind <> 'api' AND status = 'queued')))"
# An SQL condition: the load is an announced upload that waits for its file. The kind of an upload depends on the name
# of its file.
_AWAITS_FILE = "(version IS NULL AND kind NOT IN ('restore', 'api') AND status = 'queued')"


def queue_restore(
    session: Session,
    dataset: Dataset,
    landing_bucket: str,
    restore_point: str,
    sha256: str,
    correlation_id: str | None = None,
) -> tuple[int, str]:
    """Announce the load of a restore request before the object is copied. Returns the load's id and the object's
    key."""
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
    """Announce a file before a client sends it. `file_names.dataset_of` must find the dataset in `base_name`.

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
    """Create a load that waits for an object. `place` is (bucket, top folder, base name) of the object. The key is
    `<top folder>/<load id>/<base name>`. Returns the load's id and the key."""
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
    """Mark announced uploads as failed if their files have not arrived within `wait`. Returns the number of these
    loads.

    A single statement both checks the loads and marks them as failed. So a file that arrives at the same moment gets
    either the announced load, which then does not fail, or a new load.
    """
    return session.affected(
        "UPDATE loads SET status = 'failed', finished_at = now(), error = :error"
        f" WHERE {_AWAITS_FILE} AND queued_at < now() - CAST(:wait AS interval)",
        error=NEVER_CAME,
        wait=f"{wait.total_seconds()} seconds",
    )


def cancel_upload(session: Session, load_id: int) -> str | None:
    """Cancel an announced upload that still waits for its file. Returns the source of the load. Returns None if there
    is no such load, or if the load does not wait any more.

    A single statement both checks and cancels the load. So a file that arrives at the same moment gets either the
    announced load, which is then not cancelled, or a new load.
    """
    source = session.scalar(
        "UPDATE loads SET status = 'skipped', finished_at = now(), error = :error"
        f" WHERE id = :id AND {_AWAITS_FILE} RETURNING source",
        id=load_id,
        error=CANCELLED,
    )
    return None if source is None else str(source)
