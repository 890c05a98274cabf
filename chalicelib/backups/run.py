"""One backup run: a restore point if anything changed, then the deletion of expired ones."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.backups import manifest
from chalicelib.backups.manifest import Manifest, TableFile
from chalicelib.backups.prefetch import ahead
from chalicelib.backups.retention import delete_point, expire_points
from chalicelib.backups.snapshot import Columns, blocks, origin, snapshot
from chalicelib.cloud.buckets import Bucket, Stored
from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.object_streams import Writer
from chalicelib.cloud.storage import Storage
from chalicelib.core.datasets import DATASETS, Dataset
from chalicelib.core.errors import HireflowError, StorageUnavailable
from chalicelib.formats import avro

LOCK = (0x68697265, 0)  # advisory lock of the database: one backup at a time
Clock = Callable[[], datetime]


def _utc_now() -> datetime:
    return datetime.now(UTC)


def run_backup(database: Database, storage: Storage, *, retention: timedelta, now: Clock = _utc_now) -> dict[str, Any]:
    """Back up all datasets from one snapshot, unless nothing changed or another run is at it.

    Returns {"outcome": "created" | "unchanged" | "busy", "restore_point": str | None, "tables": {name:
    {"rows", "bytes", "sha256"}}, "checked": [files], "seconds": float, "deleted": [restore points]}, JSON-able.
    The restore point holds every change committed before the time it is named by, took `seconds` to make, and
    S3 was asked again for what it stored of the `checked` files. A failure leaves none, and is raised:
    Unavailable for one that may pass.
    """
    with database.session() as session:
        if not session.scalar("SELECT pg_try_advisory_lock({}, {})".format(*LOCK)):
            return {
                "outcome": "busy",
                "restore_point": None,
                "tables": {},
                "checked": [],
                "seconds": 0.0,
                "deleted": [],
            }
        try:
            return _run(session, storage.backup, retention, now)
        finally:
            if not session.broken:  # the lock of a broken connection is gone with it
                with suppress(HireflowError):
                    session.run("SELECT pg_advisory_unlock({}, {})".format(*LOCK))


def _run(session: Session, bucket: Bucket, retention: timedelta, now: Clock) -> dict[str, Any]:
    began = time.monotonic()
    at = now()
    existing = manifest.names(bucket, at)
    newest = manifest.newest(bucket, existing, at)
    name = manifest.name_after(newest.restore_point if newest else None, at, existing)
    created = _create(session, bucket, name, newest)
    seconds = round(time.monotonic() - began, 3)
    current = created or newest
    assert current is not None
    deleted = expire_points(bucket, existing, current.restore_point, now(), retention)
    return {
        "outcome": "created" if created else "unchanged",
        "restore_point": current.restore_point,
        "tables": current.summary()["tables"],
        "checked": [*(f"{table}.avro" for table in current.tables), "manifest.json"],
        "seconds": seconds,
        "deleted": deleted,
    }


def _create(session: Session, bucket: Bucket, name: str, newest: Manifest | None) -> Manifest | None:
    """Write the restore point `name`; None if `newest` holds the same and still has all its files."""
    datasets = tuple(DATASETS.values())
    try:
        with snapshot(session, datasets) as versions:
            identity = origin(session), avro.fingerprint(datasets)
            if newest and _same(newest, identity, versions) and _whole(bucket, newest):
                return None
            written = [_table(session, bucket, name, d, versions[d.name]) for d in datasets]
        # The commit went through: the connection lives, and with it the lock. No other run is at it.
        made = Manifest(name, *identity, dict(zip(DATASETS, (table for table, _ in written), strict=True)))
        for _, writer in written:  # before the manifest: there is no restore point of files that are not there
            if bucket.head(writer.key) != Stored(writer.size, writer.etag):
                raise StorageUnavailable(f"{bucket.url(writer.key)} is not stored as it was written")
        for table in made.tables:
            bucket.put(manifest.link_key(name, table), bucket.url(manifest.key(name, table)).encode(), "text/plain")
        bucket.put(manifest.manifest_key(name), made.to_json(), "application/json")
        if manifest.read(bucket, name) != made:
            raise StorageUnavailable(f"the manifest of restore point {name} is not stored as it was written")
    except BaseException:
        with suppress(HireflowError):  # what remains is swept after a day
            delete_point(bucket, name)
        raise
    return made


def _table(session: Session, bucket: Bucket, name: str, dataset: Dataset, version: int) -> tuple[TableFile, Writer]:
    file = _Hashed(bucket.writer(manifest.key(name, dataset.name), avro.CONTENT_TYPE))
    counted = _Counted(blocks(session, dataset))
    try:
        with ahead(counted) as read:  # Postgres works while we encode, and we while it does
            avro.write(dataset, read, file)
        file.writer.complete()
    except BaseException:
        with suppress(HireflowError):
            file.writer.abort()
        raise
    return TableFile(counted.count, file.writer.size, file.sha256.hexdigest(), version), file.writer


def _same(newest: Manifest, identity: tuple[str, str], versions: dict[str, int]) -> bool:
    return (newest.origin, newest.schema_version) == identity and newest.versions == versions


def _whole(bucket: Bucket, newest: Manifest) -> bool:
    """Whether every file is still there: a restore point that lost one is no reason to write none."""
    point = newest.restore_point
    sizes = {found.key: found.size for found in bucket.objects(f"{manifest.ROOT}{point}/")}
    return all(
        sizes.get(manifest.key(point, name)) == table.bytes and manifest.link_key(point, name) in sizes
        for name, table in newest.tables.items()
    )


class _Hashed:
    """A writer that keeps the SHA-256 of what passes."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.sha256 = writer, hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.sha256.update(data)
        self.writer.write(data)


class _Counted:
    """An iterable of blocks that counts the rows in what it yields."""

    def __init__(self, source: Iterator[Columns]) -> None:
        self._source, self.count = source, 0

    def __iter__(self) -> Iterator[Columns]:
        for columns in self._source:
            self.count += len(columns[0])
            yield columns
