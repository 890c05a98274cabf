"""Reads restore points: where their files are, and the manifest that completes a restore point.

A restore point is a folder `backups/<name>/`. Its `manifest.json` is written last. `core.restore_point_names` says how
the folder is named. Folders with other names are ignored.

The name of a restore point is a time. If a clock was wrong, this time may lie in the future. A client can restore such
a restore point by its name, and lists show it after all others. It never counts as the newest restore point.
Otherwise every later backup would look older than this restore point, and the age of the last backup would be wrong.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import islice
from typing import Any

from chalicelib.backups.table_schema import TableSchema
from chalicelib.cloud.buckets import Bucket
from chalicelib.core import restore_point_names, timestamps
from chalicelib.core.errors import NotFound
from chalicelib.core.restore_point_names import AHEAD, instant, is_ahead, is_name

ROOT = "backups/"
_FORMAT = 1  # the version of the format of manifests
_KEPT = 1000  # manifests that a process keeps in memory
_READERS = 8  # threads that read the manifests of a page
_STEP = timedelta(microseconds=1)  # the smallest difference between the times of two names
_PARTS = timedelta(days=1), timedelta(days=30), None
_EARLY = "1001"
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class StoredFile:
    """Describes the Avro file of a table: the number of its rows, its size in bytes, and its SHA-256 in hexadecimal."""

    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class TableFile(StoredFile):
    """Describes a file in the manifest. `version` is the version of the dataset, a number that every change of
    its table increases."""

    version: int


@dataclass(frozen=True)
class RestorePoint:
    """Describes a restore point in a list. `verified_at` is None until a verification finds no fault.
    `previous_database` means the same as in a Manifest."""

    restore_point: str
    created_at: datetime
    verified_at: datetime | None
    tables: Mapping[str, StoredFile]
    previous_database: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the JSON that the API shows."""
        return {
            "restore_point": self.restore_point,
            "created_at": timestamps.text(self.created_at),
            "verified_at": self.verified_at and timestamps.text(self.verified_at, "seconds"),
            "previous_database": self.previous_database,
            "tables": {name: asdict(file) for name, file in self.tables.items()},
        }


@dataclass(frozen=True)
class Manifest:
    """Has the content of a manifest. `origin` identifies the database. The versions of its datasets do not identify it,
    because another database may have equal versions.

    `schemas` has the Avro schema of each table, as `formats.avro.schema` makes it. So a release can also verify a table
    that it does not declare. Manifests of earlier releases have no schemas.

    If the database has replaced another database, `previous_database` is the name of the last restore point that has
    rows of that other database. This restore point may have expired. After it has been restored, `previous_database` is
    None."""

    restore_point: str
    origin: str
    schema_version: str
    tables: Mapping[str, TableFile]
    previous_database: str | None = None
    schemas: Mapping[str, TableSchema] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())

    @property
    def versions(self) -> dict[str, int]:
        return {name: table.version for name, table in self.tables.items()}

    def age(self, now: datetime) -> timedelta:
        return now - instant(self.restore_point)

    def summary(self, verified_at: datetime | None = None) -> RestorePoint:
        files = {name: StoredFile(file.rows, file.bytes, file.sha256) for name, file in self.tables.items()}
        created_at = instant(self.restore_point)
        return RestorePoint(self.restore_point, created_at, verified_at, files, self.previous_database)

    def to_json(self) -> bytes:
        document = {
            "format": _FORMAT,
            "restore_point": self.restore_point,
            "created_at": instant(self.restore_point).isoformat(),
            "origin": self.origin,
            "schema_version": self.schema_version,
            "previous_database": self.previous_database,
            "tables": {name: asdict(table) for name, table in self.tables.items()},
            "schemas": {name: schema.declared for name, schema in self.schemas.items()},
        }
        return json.dumps(document, indent=2).encode()

    @classmethod
    def parse(cls, name: str, body: bytes) -> "Manifest":
        """Parse the manifest of the restore point `name`. Raises ValueError for any text that `to_json` would not
        write."""
        try:
            document = json.loads(body)
            tables = {table: _table(entry) for table, entry in document["tables"].items()}
            # Manifests of earlier releases may lack this member and the schemas.
            previous = document.get("previous_database")
            schemas = {table: TableSchema.of(declared) for table, declared in document.get("schemas", {}).items()}
            identity = document["restore_point"], document["origin"], document["schema_version"]
            manifest = cls(*identity, tables, previous, schemas)
            if document["format"] != _FORMAT or datetime.fromisoformat(document["created_at"]) != instant(name):
                raise ValueError("its format is unknown, or its time is not the time in its name")
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("it is not a manifest") from error
        if (
            manifest.restore_point != name
            or not isinstance(manifest.origin, str)
            or not isinstance(manifest.schema_version, str)
            or not (previous is None or (isinstance(previous, str) and is_name(previous)))
        ):
            raise ValueError("it is not the manifest of this restore point")
        return manifest


def _table(entry: Mapping[str, Any]) -> TableFile:
    file = TableFile(**entry)
    counts = (file.rows, file.bytes, file.version)
    if any(type(count) is not int or count < 0 for count in counts) or not _SHA256.fullmatch(file.sha256):
        raise ValueError("it has a malformed entry of a table")
    return file


def key(restore_point: str, table: str) -> str:
    """Return the S3 key of a table's Avro file."""
    return f"{ROOT}{restore_point}/{table}.avro"


def link_key(restore_point: str, table: str) -> str:
    """Return the key of the link to a table's file, for Athena.

    Athena reads all files of a folder as one table, so no other file is in the folder of the link. The link is one line
    in the format of Hive's SymlinkTextInputFormat: the URL of the Avro file.
    """
    return f"{ROOT}{restore_point}/athena/{table}/symlink.txt"


def manifest_key(restore_point: str) -> str:
    return f"{ROOT}{restore_point}/manifest.json"


def verified_key(restore_point: str) -> str:
    """Return the key of the verification mark of a restore point."""
    return f"{ROOT}{restore_point}/verified.json"


def names(bucket: Bucket, now: datetime | None = None) -> list[str]:
    """Return the names of all folders that are named like a restore point, newest first. Names in the future come last.

    Some of these folders may have no manifest.
    """
    newest_first = sorted(filter(is_name, bucket.folders(ROOT)), reverse=True)
    return sorted(newest_first, key=lambda name: is_ahead(name, now))


def _following(bucket: Bucket, before: str | None, now: datetime) -> Iterator[str]:
    """Yield the names that follow `before` in the order of `names`, or all names if `before` is None. Most callers need
    only the first names, so the function lists the names in parts, beginning with the newest day."""
    ahead = timestamps.name(now + AHEAD + _STEP)  # names from this one on are in the future
    if before is None or before < ahead:
        end = ahead if before is None else before
        for part in _PARTS:
            # Names before the year 1001 are not divided further, because the subtraction could fail.
            first = timestamps.name(instant(end) - part) if part and end > _EARLY else ""
            yield from sorted(filter(is_name, bucket.folders(ROOT, first=first, end=end)), reverse=True)
            if not first:
                break
            end = first
    following = filter(is_name, bucket.folders(ROOT, first=ahead))
    yield from sorted((name for name in following if not before or before < ahead or name < before), reverse=True)


def read(bucket: Bucket, name: str) -> Manifest | None:
    """Return the manifest of a restore point, or None if it is missing or broken."""
    try:
        return Manifest.parse(name, bucket.get(manifest_key(name)))
    except (NotFound, ValueError):
        return None


def get(bucket: Bucket, name: str) -> Manifest:
    """Return the manifest of a restore point. Raises NotFound if the name is unknown or malformed, or if the
    manifest is broken."""
    if not is_name(name):
        raise NotFound(restore_point_names.RULE)
    try:
        return Manifest.parse(name, bucket.get(manifest_key(name)))
    except NotFound as error:
        raise NotFound(f"there is no restore point {name}") from error
    except ValueError as error:
        raise NotFound(f"restore point {name} cannot be restored, because its manifest is broken") from error


def newest(bucket: Bucket, among: list[str] | None = None, now: datetime | None = None) -> Manifest | None:
    """Return the manifest of the newest complete restore point whose name is not in the future. Return None if there is
    no such restore point.

    `among` has the names to choose from, in the order of `names`. None means all names.
    """
    at = now or datetime.now(UTC)
    present = (name for name in (_following(bucket, None, at) if among is None else among) if not is_ahead(name, at))
    return next(filter(None, (read(bucket, name) for name in present)), None)


def page(bucket: Bucket, limit: int, before: str | None = None) -> tuple[list[Manifest], str | None]:
    """Return at most `limit` complete restore points that follow `before` in the order of `names`, and the next cursor.

    The cursor is the `before` of the next page, or None after the last page. The function reads only the manifests of
    this page.
    """
    entries, cursor = _page(bucket, limit, before)
    return [manifest for manifest, _ in entries], cursor


def listed(bucket: Bucket, limit: int, before: str | None = None) -> tuple[list[RestorePoint], str | None]:
    """Return the restore points of a `page`, with the times of their verifications, and the next cursor.

    The time of a verification is the modification time of the verification mark.
    """
    entries, cursor = _page(bucket, limit, before)
    return [manifest.summary(verified_at) for manifest, verified_at in entries], cursor


def _page(bucket: Bucket, limit: int, before: str | None) -> tuple[list[tuple[Manifest, datetime | None]], str | None]:
    """Return what `page` returns, each manifest with the time of its verification."""
    entries: list[tuple[Manifest, datetime | None]] = []
    following, last = _following(bucket, before, datetime.now(UTC)), None
    with ThreadPoolExecutor(_READERS) as pool:
        while chosen := list(islice(following, limit - len(entries))):
            stored = _stored(bucket, chosen)
            complete = [name for name in chosen if manifest_key(name) in stored]
            modified = [stored[manifest_key(name)] for name in complete]
            manifests = pool.map(partial(_kept, bucket), complete, modified)
            entries += [
                (manifest, stored.get(verified_key(manifest.restore_point)))
                for manifest in manifests
                if manifest is not None
            ]
            last = chosen[-1]
    return entries, last if next(following, None) is not None else None


@lru_cache(_KEPT)
def _kept(bucket: Bucket, name: str, _modified: datetime) -> Manifest | None:
    """Return the same as `read`. The process keeps the result for this modification time. A manifest that was changed
    has another one, so it is read again."""
    return read(bucket, name)


def _stored(bucket: Bucket, chosen: Sequence[str]) -> dict[str, datetime]:
    """Return the modification times of the manifests and the verification marks, by key. `chosen` has names that follow
    each other in the order of `names`.

    One list request finds these objects of about 100 restore points. Restore points in the future need a second list
    request, because a page shows them last, but S3 lists them beside the newest restore points.
    """
    ahead = [name for name in chosen if is_ahead(name)]
    return _times(bucket, chosen[: len(chosen) - len(ahead)]) | _times(bucket, ahead)


def _times(bucket: Bucket, consecutive: Sequence[str]) -> dict[str, datetime]:
    """Return the modification times that `_stored` describes. `consecutive` has the names of restore points that follow
    each other in S3's list, newest first."""
    if not consecutive:
        return {}
    wanted = {key(name) for name in consecutive for key in (manifest_key, verified_key)}
    times: dict[str, datetime] = {}
    for stored in bucket.objects(ROOT, after=f"{ROOT}{consecutive[-1]}/"):
        if stored.key in wanted:
            times[stored.key] = stored.modified
        if stored.key > f"{ROOT}{consecutive[0]}0":  # this key comes after all keys of the newest restore point
            break
    return times
