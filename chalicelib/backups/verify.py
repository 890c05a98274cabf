"""Verifies restore points. A verification reads all files of a restore point again, and compares them with the
manifest. It also checks that ids are unique and that parents exist.

A verification reads a restore point by the schemas of the restore point. Another release may have made it, with other
columns and tables.

Files are read as streams. Memory holds only the ids of the rows (see `integrity`). A restore point without a fault gets
a verification mark. If a later verification finds a fault, it deletes the mark.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from chalicelib.backups import manifest
from chalicelib.backups.integrity import Content, Ids
from chalicelib.backups.manifest import Manifest, TableFile
from chalicelib.backups.table_schema import TableSchema
from chalicelib.cloud.buckets import Bucket
from chalicelib.core import restore_point_names, timestamps
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadError, NotFound
from chalicelib.core.streams import Hashed
from chalicelib.core.timestamps import Clock, utc_now
from chalicelib.formats import avro
from chalicelib.formats.avro_container import Container
from chalicelib.formats.avro_fields import AvroFields

_log = logging.getLogger("hireflow.backups")


@dataclass(frozen=True)
class TableReport:
    """Reports the numbers of rows and bytes in a table's file, and the faults of the file."""

    rows: int
    bytes: int
    faults: list[str]


@dataclass(frozen=True)
class PointReport:
    """The result of a verification. `faults` are the faults of the manifest. `notes` say what is missing without being
    a fault. `older` is the next older restore point."""

    restore_point: str
    tables: dict[str, TableReport]
    faults: list[str]
    notes: list[str]
    older: str | None


def verify_point(
    bucket: Bucket,
    restore_point: str | None = None,
    *,
    now: Clock = utc_now,
    datasets: Mapping[str, Dataset] = DATASETS,
) -> PointReport:
    """Verify a restore point, or the newest one if no name is given. Write its verification mark if it has no fault,
    otherwise delete an earlier mark.

    The checks: size, SHA-256, schema, every block, the number of rows, unique ids, and that every foreign key refers to
    a row of the same snapshot. If the manifest lacks a table of its own schema, this is a fault. The notes name
    the datasets that are newer than the restore point, and the tables and columns that this release does not have.

    Raises NotFound if there is no such restore point, and Unavailable if S3 cannot be reached.
    """
    name, older = _chosen(bucket, restore_point, now())
    tables, of_manifest, notes = _read_again(bucket, name, datasets)
    faults = len(of_manifest) + sum(len(table.faults) for table in tables.values())
    if faults:
        bucket.delete(manifest.verified_key(name))
        _log.error("restore point %s is faulty", name, extra={"faults": faults})
    else:
        mark = json.dumps({"restore_point": name, "verified_at": timestamps.text(now())})
        bucket.put(manifest.verified_key(name), mark.encode(), "application/json")
        _log.info("restore point %s is sound", name)
    return PointReport(name, tables, of_manifest, notes, older)


def _read_again(
    bucket: Bucket, name: str, datasets: Mapping[str, Dataset]
) -> tuple[dict[str, TableReport], list[str], list[str]]:
    """Return the reports on the tables of a restore point, the faults of its manifest, and the notes."""
    try:
        point = Manifest.parse(name, bucket.get(manifest.manifest_key(name)))
    except ValueError as error:
        return {}, [f"the manifest is broken: {error}"], []
    schemas = _schemas(point, datasets)
    return _tables(bucket, point, schemas, datasets), *_missing(point, schemas, datasets)


def _schemas(point: Manifest, datasets: Mapping[str, Dataset]) -> Mapping[str, TableSchema]:
    """Return the schemas of a restore point. A manifest of an earlier release has none. If it has the schema version
    of this release, the schemas are those of this release. Otherwise the result is empty."""
    if not point.schemas and point.schema_version == avro.fingerprint(datasets.values()):
        return {dataset.name: TableSchema.of_dataset(dataset) for dataset in datasets.values()}
    return point.schemas


def _missing(
    point: Manifest, schemas: Mapping[str, TableSchema], datasets: Mapping[str, Dataset]
) -> tuple[list[str], list[str]]:
    """Return the faults about tables that the manifest lacks, and the notes about tables and columns that only this
    release or only the restore point has."""
    faults = [f"the manifest lacks {table}" for table in schemas if table not in point.tables]
    notes = [f"made before {table} existed" for table in datasets if table not in {*point.tables, *schemas}]
    for table in point.tables:
        if table not in datasets:
            notes.append(f"{table}: this release has no such table, so it cannot be restored")
        elif table in schemas:
            unknown = [name for name in schemas[table].columns if name not in datasets[table].column_names]
            notes += [f"{table}: this release has no column {name}, so a restore leaves it out" for name in unknown]
    return faults, notes


def _chosen(bucket: Bucket, restore_point: str | None, now: datetime) -> tuple[str, str | None]:
    """Return the name of the restore point to verify, and the next name in the order of `manifest.names`. Folders
    without a manifest are skipped."""
    if restore_point is not None and not restore_point_names.is_name(restore_point):
        raise NotFound(restore_point_names.RULE)
    names = manifest.names(bucket, now)
    if restore_point in names:
        names = names[names.index(restore_point) :]
    complete = (name for name in names if bucket.exists(manifest.manifest_key(name)))
    name = next(complete, None)
    if name is None or restore_point not in (None, name):
        raise NotFound(f"there is no restore point {restore_point}" if restore_point else "there is no backup yet")
    return name, next(complete, None)


def _tables(
    bucket: Bucket, point: Manifest, schemas: Mapping[str, TableSchema], datasets: Mapping[str, Dataset]
) -> dict[str, TableReport]:
    """Return a report on the file of every table. Parent tables come before their child tables."""
    ids: dict[str, Ids] = {}  # the ids of the tables that had no fault so far
    reports = {}
    for name, recorded in point.tables.items():
        file = _File(bucket, manifest.key(point.restore_point, name))
        content = Content(ids)
        faults = [*_read(content, file, schemas.get(name), datasets.get(name)), *file.differences(recorded)]
        if not faults:
            faults += content.differences(recorded)
            ids[name] = content.ids
        reports[name] = TableReport(content.rows, file.size, faults)
    return reports


def _read(content: Content, file: "_File", schema: TableSchema | None, dataset: Dataset | None) -> list[str]:
    """Read the records of a file. Return the faults that make the file unreadable, if any. `schema` is the schema that
    the restore point has for the table, and `dataset` the dataset of this release."""
    try:
        with file:
            container = Container(file.stream)
            found = TableSchema.of_file(container.schema)
            if schema is not None and found.columns != schema.columns:
                shown = ", ".join(f"{name} {json.dumps(kind)}" for name, kind in found.columns.items())
                return [f"the file does not have the schema of the manifest: its fields are {shown}"]
            references = (schema or found).references
            if not references and dataset is not None:  # an earlier release has made the file
                references = {c.name: parent for c, parent in dataset.references if c.name in found.columns}
            content.begin(references)
            fields = AvroFields.of_integers(container.schema, ("id", *references))
            for rows in avro.rows_of(container, fields, is_trusted=True):
                content.add(tuple(zip(*rows, strict=True)))
    except NotFound:
        return ["the file is missing"]
    except LoadError as error:
        return [error.detail]
    except ValueError as error:
        return [f"the schema of the file is broken: {error}"]
    return []


class _File:
    """Opens a file of the restore point as a context manager. At the end of the `with` block, it reads the rest of the
    file, so that the size and the SHA-256 are those of the whole file."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket, self._key = bucket, key
        self._sha256: str | None = None
        self.size = 0

    def __enter__(self) -> None:
        self._body = self._bucket.open(self._key)
        self.stream = Hashed(self._body)

    def __exit__(self, *_: object) -> None:
        try:
            self._sha256 = self.stream.hexdigest()
            self.size = self.stream.size
        finally:
            self._body.close()

    def differences(self, recorded: TableFile) -> Iterator[str]:
        if self._sha256 is None:
            return
        if self.size != recorded.bytes:
            yield f"the file has {self.size} bytes, the manifest says {recorded.bytes}"
        if self._sha256 != recorded.sha256:
            yield "the file does not have the checksum of the manifest"
