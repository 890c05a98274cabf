"""Runs a backup: makes a restore point if any dataset has changed, and then deletes expired restore points.

A database may be lost and replaced by a new, empty database. While the new database is empty, no restore point is made
of it. An empty restore point would be the newest one, so a restore of the newest one would bring back no rows. When the
new database has rows, its restore points name the last restore point of the lost database
(`Manifest.previous_database`), until that restore point has been restored.
"""

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from chalicelib.backups import manifest
from chalicelib.backups.manifest import Manifest, StoredFile, TableFile
from chalicelib.backups.prefetch import ahead
from chalicelib.backups.retention import delete_point, expire_points
from chalicelib.backups.snapshot import Columns, blocks, origin, snapshot
from chalicelib.backups.table_schema import TableSchema
from chalicelib.cloud.buckets import Bucket, Stored
from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.object_streams import Writer
from chalicelib.cloud.storage import Storage
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import HireflowError, StorageUnavailable
from chalicelib.core.restore_point_names import name_after
from chalicelib.core.timestamps import Clock, utc_now
from chalicelib.formats import avro
from chalicelib.loads import history

_log = logging.getLogger("hireflow.backups")
_MESSAGES = {
    "created": "restore point created",
    "unchanged": "no restore point created: no row has changed since the newest one",
    "busy": "no restore point created: another backup is running",
    "waiting": "no restore point created: this database is empty, and the newest restore point is of another database",
}
Outcome = Literal["created", "unchanged", "busy", "waiting"]
LOCK = (0x68697265, 0)  # an advisory lock of the database, so that only one backup runs at a time


@dataclass(frozen=True)
class BackupRun:
    """Describes the result of a backup run. The outcome is `waiting` if the database is empty, and the newest restore
    point has rows of another database.

    `tables` are the tables of the newest restore point. `seconds` is the time that the run took to make this restore
    point, or to find that no dataset has changed. `checked` are the files whose presence in S3 the run confirmed.
    `deleted` are the names of the restore points that the run deleted.
    """

    outcome: Outcome
    restore_point: str | None = None
    tables: Mapping[str, StoredFile] = field(default_factory=dict)
    checked: list[str] = field(default_factory=list)
    seconds: float = 0.0
    deleted: list[str] = field(default_factory=list)


def run_backup(
    database: Database,
    storage: Storage,
    *,
    retention: timedelta,
    now: Clock = utc_now,
    datasets: Mapping[str, Dataset] = DATASETS,
) -> BackupRun:
    """Back up all `datasets` from one snapshot, unless no dataset has changed or another backup is running.

    The name of the restore point is a time. The restore point holds every change that was committed before that time.
    A run that fails leaves no incomplete restore point, and raises the error. This error is Unavailable if a retry may
    help.
    """
    with database.session() as session:
        if not session.scalar("SELECT pg_try_advisory_lock({}, {})".format(*LOCK)):
            return _logged(BackupRun("busy"))
        try:
            return _logged(_run(session, storage.backup, retention, now, tuple(datasets.values())))
        finally:
            if not session.broken:  # Postgres releases the lock of a broken connection
                with suppress(HireflowError):
                    session.run("SELECT pg_advisory_unlock({}, {})".format(*LOCK))


def _run(session: Session, bucket: Bucket, retention: timedelta, now: Clock, datasets: Sequence[Dataset]) -> BackupRun:
    began = time.monotonic()
    at = now()
    existing = manifest.names(bucket, at)
    newest = manifest.newest(bucket, existing, at)
    name = name_after(newest.restore_point if newest else None, at, existing)
    outcome, current = _create(session, bucket, name, newest, datasets)
    seconds = round(time.monotonic() - began, 3)
    deleted = expire_points(bucket, existing, current.restore_point, now(), retention)
    return BackupRun(
        outcome,
        restore_point=current.restore_point,
        tables=current.summary().tables,
        checked=[*(f"{table}.avro" for table in current.tables), "manifest.json"],
        seconds=seconds,
        deleted=deleted,
    )


def _logged(run: BackupRun) -> BackupRun:
    """Log one line about every run, so that the log shows that backups are running. Return the run."""
    fields: dict[str, object] = {"outcome": run.outcome}
    if run.restore_point:
        rows = sum(table.rows for table in run.tables.values())
        fields |= {"restore_point": run.restore_point, "rows": rows}
    if run.deleted:
        fields["deleted"] = run.deleted
    level = logging.WARNING if run.outcome == "waiting" else logging.INFO
    _log.log(level, _MESSAGES[run.outcome], extra=fields)
    return run


def _create(
    session: Session, bucket: Bucket, name: str, newest: Manifest | None, datasets: Sequence[Dataset]
) -> tuple[Outcome, Manifest]:
    """Write the restore point `name`, and return its manifest. Write nothing and return `newest` if it has the current
    rows and all its files, or if the database is empty and `newest` has rows of another database."""
    try:
        with snapshot(session, datasets) as versions:
            identity = origin(session), avro.fingerprint(datasets)
            if newest and _same(newest, identity, versions) and _whole(bucket, newest):
                return "unchanged", newest
            if newest and newest.origin != identity[0] and newest.rows and _is_empty(session, datasets):
                return "waiting", newest
            files = {d.name: _table(session, bucket, name, d, versions[d.name]) for d in datasets}
        # The commit succeeded, so the connection is alive and still has the advisory lock. No other backup is running.
        tables = {table: file for table, (file, _) in files.items()}
        schemas = {dataset.name: TableSchema.of_dataset(dataset) for dataset in datasets}
        written = Manifest(name, *identity, tables, _previous_database(session, newest, identity[0]), schemas)
        # The files are checked before the manifest is written, because the manifest makes the restore point complete.
        for _, writer in files.values():
            if bucket.head(writer.key) != Stored(writer.size, writer.etag):
                raise StorageUnavailable(f"{bucket.url(writer.key)} is not stored as it was written")
        for table in written.tables:
            bucket.put(manifest.link_key(name, table), bucket.url(manifest.key(name, table)).encode(), "text/plain")
        bucket.put(manifest.manifest_key(name), written.to_json(), "application/json")
        if manifest.read(bucket, name) != written:
            raise StorageUnavailable(f"the manifest of restore point {name} is not stored as it was written")
    except BaseException:
        with suppress(HireflowError):  # a later run deletes the files that remain
            delete_point(bucket, name)
        raise
    return "created", written


def _table(session: Session, bucket: Bucket, name: str, dataset: Dataset, version: int) -> tuple[TableFile, Writer]:
    file = _Hashed(bucket.writer(manifest.key(name, dataset.name), avro.CONTENT_TYPE))
    counted = _Counted(blocks(session, dataset))
    try:
        with ahead(counted) as read:  # Postgres reads the next block while this block is encoded
            avro.write(dataset, read, file)
        file.writer.complete()
    except BaseException:
        with suppress(HireflowError):
            file.writer.abort()
        raise
    return TableFile(counted.count, file.writer.size, file.sha256.hexdigest(), version), file.writer


def _same(newest: Manifest, identity: tuple[str, str], versions: dict[str, int]) -> bool:
    return (newest.origin, newest.schema_version) == identity and newest.versions == versions


def _is_empty(session: Session, datasets: Sequence[Dataset]) -> bool:
    rows = " OR ".join(f"EXISTS (SELECT FROM {dataset.table})" for dataset in datasets)
    return not session.scalar(f"SELECT {rows}")


def _previous_database(session: Session, newest: Manifest | None, own: str) -> str | None:
    """Return the name of the last restore point of the database that was replaced by this database, whose origin is
    `own`. Return None if no database was replaced, or if that restore point has been restored."""
    if newest is None:
        return None
    previous = newest.restore_point if newest.origin != own and newest.rows else newest.previous_database
    return None if previous is None or history.is_restored(session, previous) else previous


def _whole(bucket: Bucket, newest: Manifest) -> bool:
    """Return whether every file of the restore point is still in S3. If a file is missing, the run makes a new restore
    point although no row has changed."""
    point = newest.restore_point
    sizes = {stored.key: stored.size for stored in bucket.objects(f"{manifest.ROOT}{point}/")}
    return all(
        sizes.get(manifest.key(point, name)) == table.bytes and manifest.link_key(point, name) in sizes
        for name, table in newest.tables.items()
    )


class _Hashed:
    """Writes data, and computes the SHA-256 of the data."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.sha256 = writer, hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.sha256.update(data)
        self.writer.write(data)


class _Counted:
    """Yields blocks, and counts their rows."""

    def __init__(self, source: Iterator[Columns]) -> None:
        self._source, self.count = source, 0

    def __iter__(self) -> Iterator[Columns]:
        for columns in self._source:
            self.count += len(columns[0])
            yield columns
