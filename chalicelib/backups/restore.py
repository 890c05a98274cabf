"""Carries out a restore request: announces a load, and copies a file of a restore point into the landing bucket."""

from contextlib import suppress
from dataclasses import dataclass

from chalicelib.backups import manifest
from chalicelib.backups.manifest import Manifest
from chalicelib.cloud.buckets import Bucket
from chalicelib.cloud.database import Database
from chalicelib.cloud.storage import Storage
from chalicelib.core import correlation
from chalicelib.core.dataset import Dataset
from chalicelib.core.errors import HireflowError, NotFound
from chalicelib.formats import avro
from chalicelib.loads import announcements, claims


@dataclass(frozen=True)
class RestoreOrder:
    """Has the result of a restore request: the id of the load, the restore point, and the path of the load in the
    API."""

    load_id: int
    restore_point: str
    status_url: str


def order_restore(
    database: Database,
    storage: Storage,
    dataset: Dataset,
    restore_point: str | None = None,
    *,
    correlation_id: str | None = None,
) -> RestoreOrder:
    """Request the restore of one dataset from the named restore point, or from the newest complete restore point.

    When the copy of the file arrives in the landing bucket, S3 sends the event that starts the load. If the copy fails,
    the load gets the status `failed`.

    Raises NotFound if there is no restore point yet, or if the named restore point is unknown or incomplete, or if its
    name is malformed. Raises Unavailable if the database or S3 cannot be reached.
    """
    point = _chosen(storage.backup, restore_point)
    file = point.tables.get(dataset.name)
    if file is None:
        contained = ", ".join(point.tables)
        raise NotFound(f"restore point {point.restore_point} does not contain {dataset.name}: it contains {contained}")
    # The load is committed before the copy of the file arrives, because the event of the copy must find the load.
    with database.transaction() as session:
        load_id, key = announcements.queue_restore(
            session, dataset, storage.landing.name, point.restore_point, file.sha256, correlation_id
        )
    try:
        storage.landing.copy_from(
            storage.backup,
            manifest.key(point.restore_point, dataset.name),
            key,
            avro.CONTENT_TYPE,
            correlation.metadata(load_id, correlation_id),
        )
    except Exception as error:
        failure = _explained(error, point.restore_point, dataset)
        with suppress(HireflowError), database.transaction() as session:
            claims.fail(session, load_id, failure.detail)
        raise failure from error
    return RestoreOrder(load_id, point.restore_point, f"/loads/{load_id}")


def _chosen(bucket: Bucket, restore_point: str | None) -> Manifest:
    if restore_point is not None:
        return manifest.get(bucket, restore_point)
    newest = manifest.newest(bucket)
    if newest is not None:
        return newest
    if ahead := manifest.page(bucket, 1)[0]:
        name = ahead[0].restore_point
        raise NotFound(
            f"the time of every backup lies in the future: name a restore point in the request, for example {name}"
        )
    raise NotFound("there is no backup yet")


def _explained(error: Exception, restore_point: str, dataset: Dataset) -> HireflowError:
    if isinstance(error, NotFound):
        return NotFound(f"the file of {dataset.name} is missing from restore point {restore_point}")
    if isinstance(error, HireflowError):
        return error
    return HireflowError("the backup could not be copied")
