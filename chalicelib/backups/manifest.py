"""Restore points: where their files lie, and the manifest that makes one exist.

A restore point is a folder `backups/<name>/` whose `manifest.json` was written last. Its name is the
UTC time before which every committed change is in it, so names sort by age.

Anything else there is ignored. A restore point whose name lies ahead of the clock was made while a clock was
wrong. It can be restored by its name, and it is listed after all others. It never counts as the newest one, so
backups go on and their age is shown correctly.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.cloud.buckets import Bucket
from chalicelib.core import timestamps
from chalicelib.core.errors import NotFound

ROOT = "backups/"
AHEAD = timedelta(minutes=5)  # clocks may differ by this much
_FORMAT = 1  # of the manifest itself
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z", re.ASCII)
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class TableFile:
    """One Avro file: rows, size in bytes, SHA-256 in hexadecimal, and the dataset's version it holds."""

    rows: int
    bytes: int
    sha256: str
    version: int


@dataclass(frozen=True)
class Manifest:
    """What a restore point holds; `origin` tells databases apart whose versions happen to be equal."""

    restore_point: str
    origin: str
    schema_version: str
    tables: Mapping[str, TableFile]

    @property
    def versions(self) -> dict[str, int]:
        return {name: table.version for name, table in self.tables.items()}

    def age(self, now: datetime) -> timedelta:
        return now - instant(self.restore_point)

    def summary(self, verified_at: datetime | None = None) -> dict[str, Any]:
        """As the API shows it: {"restore_point", "created_at", "verified_at", "tables": {name: {"rows", "bytes",
        "sha256"}}}."""
        tables = {n: {"rows": t.rows, "bytes": t.bytes, "sha256": t.sha256} for n, t in self.tables.items()}
        return {
            "restore_point": self.restore_point,
            "created_at": timestamps.text(instant(self.restore_point)),
            "verified_at": verified_at and timestamps.text(verified_at, "seconds"),
            "tables": tables,
        }

    def to_json(self) -> bytes:
        document = {
            "format": _FORMAT,
            "restore_point": self.restore_point,
            "created_at": instant(self.restore_point).isoformat(),
            "origin": self.origin,
            "schema_version": self.schema_version,
            "tables": {name: asdict(table) for name, table in self.tables.items()},
        }
        return json.dumps(document, indent=2).encode()

    @classmethod
    def parse(cls, name: str, body: bytes) -> "Manifest":
        """Read the manifest of the restore point `name`; ValueError for anything `to_json` would not write."""
        try:
            document = json.loads(body)
            tables = {table: _table(entry) for table, entry in document["tables"].items()}
            found = cls(document["restore_point"], document["origin"], document["schema_version"], tables)
            if document["format"] != _FORMAT or datetime.fromisoformat(document["created_at"]) != instant(name):
                raise ValueError("of another format or time")
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("not a manifest") from error
        if (
            found.restore_point != name
            or not isinstance(found.origin, str)
            or not isinstance(found.schema_version, str)
        ):
            raise ValueError("not the manifest of this restore point")
        return found


def _table(entry: Mapping[str, Any]) -> TableFile:
    table = TableFile(**entry)
    counts = (table.rows, table.bytes, table.version)
    if any(type(count) is not int or count < 0 for count in counts) or not _SHA256.fullmatch(table.sha256):
        raise ValueError("not the entry of a table")
    return table


def key(restore_point: str, table: str) -> str:
    """Where the Avro file of a table lies."""
    return f"{ROOT}{restore_point}/{table}.avro"


def link_key(restore_point: str, table: str) -> str:
    """Where the URL of a table's file is kept for Athena, alone in its folder: what it reads a table from is
    a folder (the one line of Hive's SymlinkTextInputFormat)."""
    return f"{ROOT}{restore_point}/athena/{table}/symlink.txt"


def manifest_key(restore_point: str) -> str:
    return f"{ROOT}{restore_point}/manifest.json"


def verified_key(restore_point: str) -> str:
    """Where the mark lies of a restore point that was re-read without a fault."""
    return f"{ROOT}{restore_point}/verified.json"


def instant(name: str) -> datetime:
    """The time a restore point is named by; ValueError for a malformed name."""
    if not _NAME.fullmatch(name):
        raise ValueError("not the name of a restore point")
    return datetime.strptime(name, timestamps.NAME).replace(tzinfo=UTC)


def is_name(text: str) -> bool:
    try:
        instant(text)
    except ValueError:
        return False
    return True


def is_ahead(name: str, now: datetime | None = None) -> bool:
    """Whether the name lies ahead of the clock."""
    return instant(name) > (now or datetime.now(UTC)) + AHEAD


def name_after(newest: str | None, now: datetime, taken: Sequence[str] = ()) -> str:
    """A new name for `now`, or the first name after `newest` if a clock ran backwards. It is never one of `taken`."""
    step = timedelta(microseconds=1)
    at = now if newest is None else max(now, instant(newest) + step)
    while timestamps.name(at) in taken:
        at += step
    return timestamps.name(at)


def names(bucket: Bucket, now: datetime | None = None) -> list[str]:
    """The names of all folders that look like a restore point: newest first, and those ahead of the clock last.

    Some of them may have no manifest.
    """
    found = sorted(filter(is_name, bucket.folders(ROOT)), reverse=True)
    return sorted(found, key=lambda name: is_ahead(name, now))


def read(bucket: Bucket, name: str) -> Manifest | None:
    """The manifest of a restore point, or None where it is missing or broken."""
    try:
        return Manifest.parse(name, bucket.get(manifest_key(name)))
    except (NotFound, ValueError):
        return None


def get(bucket: Bucket, name: str) -> Manifest:
    """The restore point of that name. Raises NotFound for an unknown, malformed or unusable one."""
    if not is_name(name):
        raise NotFound("a restore point is named like 20210727T160208.123456Z")
    try:
        return Manifest.parse(name, bucket.get(manifest_key(name)))
    except NotFound as error:
        raise NotFound(f"there is no restore point {name}") from error
    except ValueError as error:
        raise NotFound(f"the manifest of restore point {name} is broken: it cannot be restored") from error


def newest(bucket: Bucket, among: list[str] | None = None, now: datetime | None = None) -> Manifest | None:
    """The newest complete restore point that is not ahead of the clock.

    `among` are the names to choose from, in the order of `names`; None means all of them.
    """
    present = (name for name in (names(bucket, now) if among is None else among) if not is_ahead(name, now))
    return next(filter(None, (read(bucket, name) for name in present)), None)


def page(bucket: Bucket, limit: int, before: str | None = None) -> tuple[list[Manifest], str | None]:
    """At most `limit` complete restore points that follow `before` in the order of `names`, and the next `before`.

    Only manifests of this page are read. The cursor is None after the last page.
    """
    found: list[Manifest] = []
    older = names(bucket)
    if before is not None:
        known = is_ahead(before)  # names ahead of the clock come after all others
        older = [name for name in older if (is_ahead(name), before) > (known, name)]
    for index, name in enumerate(older, 1):
        manifest = read(bucket, name)
        if manifest is not None:
            found.append(manifest)
        if len(found) == limit:
            return found, name if index < len(older) else None
    return found, None


def listed(bucket: Bucket, limit: int, before: str | None = None) -> tuple[list[dict[str, Any]], str | None]:
    """A `page` as the API shows it, each restore point with the time of its mark."""
    found, cursor = page(bucket, limit, before)
    marks = verified(bucket, found)
    return [manifest.summary(marks.get(manifest.restore_point)) for manifest in found], cursor


def verified(bucket: Bucket, found: Sequence[Manifest]) -> dict[str, datetime]:
    """When the verified restore points of a page were verified, by name.

    The time is that of the mark in the bucket's list: one request finds the marks of 200 restore points. Those ahead
    of the clock are looked up separately: a page may hold both the oldest restore points and these.
    """
    page = [manifest.restore_point for manifest in found]
    ahead = [name for name in page if is_ahead(name)]
    return _marks(bucket, page[: len(page) - len(ahead)]) | _marks(bucket, ahead)


def _marks(bucket: Bucket, found: Sequence[str]) -> dict[str, datetime]:
    """The times of the marks of consecutive restore points, newest first."""
    if not found:
        return {}
    marks = {verified_key(name): name for name in found}
    times: dict[str, datetime] = {}
    for listed in bucket.objects(ROOT, after=f"{ROOT}{found[-1]}/"):
        if listed.key in marks:
            times[marks[listed.key]] = listed.modified
        if listed.key > f"{ROOT}{found[0]}0":  # past everything that belongs to the newest one
            break
    return times
