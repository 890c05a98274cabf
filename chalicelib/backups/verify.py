"""Verifies restore points. A verification reads all files of a restore point again, and compares them with the
manifest. It also checks that ids are unique and that parents exist.

Files are read as streams. Memory holds only the ids of the rows, one bit for each. A restore point without a fault gets
a verification mark. If a later verification finds a fault, it deletes the mark.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.backups import manifest
from chalicelib.backups.manifest import Manifest, TableFile
from chalicelib.cloud.buckets import Bucket
from chalicelib.core import restore_point_names, timestamps
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadError, NotFound
from chalicelib.core.streams import Hashed
from chalicelib.core.timestamps import Clock, utc_now
from chalicelib.formats import avro

MOST_NAMED = 10  # faults of one kind that are reported by id; further faults are only counted
_PAGE = 16  # the number of low bits of an id that give its place in a page
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


def verify_point(bucket: Bucket, restore_point: str | None = None, *, now: Clock = utc_now) -> PointReport:
    """Verify a restore point, or the newest one if no name is given. Write its verification mark if it has no fault,
    otherwise delete an earlier mark.

    The checks: size, SHA-256, schema, every block, the number of rows, unique ids, and that every foreign key refers to
    a row of the same snapshot. If the manifest lacks a dataset, this is a fault only if the manifest has the schema of
    this release. Otherwise the restore point is older than the dataset, and the report has a note.

    Raises NotFound if there is no such restore point, and Unavailable if S3 cannot be reached.
    """
    name, older = _chosen(bucket, restore_point, now())
    tables, of_manifest, notes = _read_again(bucket, name)
    faults = len(of_manifest) + sum(len(table.faults) for table in tables.values())
    if faults:
        bucket.delete(manifest.verified_key(name))
        _log.error("restore point %s is faulty", name, extra={"faults": faults})
    else:
        mark = json.dumps({"restore_point": name, "verified_at": timestamps.text(now())})
        bucket.put(manifest.verified_key(name), mark.encode(), "application/json")
        _log.info("restore point %s is sound", name)
    return PointReport(name, tables, of_manifest, notes, older)


def _read_again(bucket: Bucket, name: str) -> tuple[dict[str, TableReport], list[str], list[str]]:
    """Return the reports on the tables of a restore point, the faults of its manifest, and the notes."""
    try:
        point = Manifest.parse(name, bucket.get(manifest.manifest_key(name)))
    except ValueError as error:
        return {}, [f"the manifest is broken: {error}"], []
    return _tables(bucket, point), *_missing(point)


def _missing(point: Manifest) -> tuple[list[str], list[str]]:
    """Return the faults and the notes about the datasets that the manifest lacks."""
    missing = [table for table in DATASETS if table not in point.tables]
    if point.schema_version == avro.fingerprint(DATASETS.values()):
        return [f"the manifest lacks {table}" for table in missing], []
    return [], [f"made before {table} existed" for table in missing]


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


def _tables(bucket: Bucket, point: Manifest) -> dict[str, TableReport]:
    """Return a report on the file of every table. Parent tables come before their child tables."""
    ids: dict[str, Ids] = {}  # the ids of the tables that had no fault so far
    reports = {}
    for name, recorded in point.tables.items():
        dataset = DATASETS.get(name)
        file = _File(bucket, manifest.key(point.restore_point, name))
        content = _Content(dataset, ids) if dataset else None
        faults = [*_read(content, file), *file.differences(recorded)]
        if content and not faults:
            faults += content.differences(recorded)
            ids[name] = content.ids
        reports[name] = TableReport(content.rows if content else 0, file.size, faults)
    return reports


def _read(content: "_Content | None", file: "_File") -> list[str]:
    """Read the records of a file. Return the faults that make the file unreadable, if any."""
    try:
        with file:
            if content is None:
                return ["this release has no such table"]
            for rows in avro.records(content.dataset, file.stream):
                content.add(tuple(zip(*rows, strict=True)))
    except NotFound:
        return ["the file is missing"]
    except LoadError as error:
        return [error.detail]
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


class _Content:
    """Reads the rows of one table, and collects their number, their ids and their faults."""

    def __init__(self, dataset: Dataset, parents: "dict[str, Ids]") -> None:
        self.dataset, self.ids, self.rows = dataset, Ids(), 0
        # Foreign keys to a parent table that could not be read are not checked: the fault of the parent table is
        # reported already.
        self._parents = [
            (dataset.columns.index(c), c.name, p, parents[p]) for c, p in dataset.references if p in parents
        ]
        self._repeated = _Faults("id {} occurs more than once")
        self._orphans = [
            _Faults(f"{name} {{}} is not among the {p} of the snapshot") for _, name, p, _ in self._parents
        ]

    def add(self, columns: Sequence[Sequence[Any]]) -> None:
        self.rows += len(columns[0])
        for row_id in columns[0]:
            if self.ids.add(row_id):
                self._repeated.add(row_id)
        for (position, _, _, ids), orphans in zip(self._parents, self._orphans, strict=True):
            for parent in set(columns[position]):
                if parent not in ids:
                    orphans.add(parent)

    def differences(self, recorded: TableFile) -> Iterator[str]:
        if self.rows != recorded.rows:
            yield f"the file has {self.rows} rows, the manifest says {recorded.rows}"
        for faults in (self._repeated, *self._orphans):
            yield from faults.texts()


class _Faults:
    """Collects faults of one kind. The ids of the first few faults are kept, and further faults are only counted."""

    def __init__(self, template: str) -> None:
        self._template, self._seen, self._more = template, set[int](), 0

    def add(self, value: int) -> None:
        if value in self._seen:
            return
        if len(self._seen) < MOST_NAMED:
            self._seen.add(value)
        else:
            self._more += 1

    def texts(self) -> Iterator[str]:
        yield from (self._template.format(value) for value in sorted(self._seen))
        if self._more:
            yield f"{self._template.format('…')} (more than {MOST_NAMED} such ids)"


class Ids:
    """Stores a set of integers as bits, in pages of 8 KiB. All possible ids take 256 MB. Ids without large gaps take
    little memory, because only pages with ids exist."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def add(self, value: int) -> bool:
        """Add a value. Return whether the set had the value before."""
        page = self._pages.get(value >> _PAGE)
        if page is None:
            page = self._pages[value >> _PAGE] = bytearray(1 << _PAGE - 3)
        byte, bit = (value & (1 << _PAGE) - 1) >> 3, 1 << (value & 7)
        if page[byte] & bit:
            return True
        page[byte] |= bit
        return False

    def __contains__(self, value: int) -> bool:
        page = self._pages.get(value >> _PAGE)
        return page is not None and bool(page[(value & (1 << _PAGE) - 1) >> 3] & 1 << (value & 7))
