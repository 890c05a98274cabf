"""Applies the lifecycle rules of buckets. ministack stores these rules, but never applies them. Without this module,
the disk would keep every deleted restore point for ever.

The module supports the rules that `infra.deploy.buckets` makes: the expiry of old versions, of delete markers that hide
nothing, and of unfinished uploads. A rule must apply to a whole bucket. Other rules are ignored.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

FIRST, EVERY = 600.0, 6 * 3600.0  # seconds before the rules are applied first, and until they are applied again
_AT_ONCE = 1000  # versions that one request deletes
_log = logging.getLogger("hireflow.lifecycle")


@dataclass(frozen=True)
class Entry:
    """An entry in the list of versions: an object version or a delete marker."""

    key: str
    version_id: str
    modified: datetime
    is_latest: bool
    is_marker: bool


def expired(entries: Iterable[Entry], before: datetime | None, *, markers: bool) -> Iterator[Entry]:
    """Yield the entries that expire. In `entries`, all entries of a key follow each other, the newest one first.

    An old entry expires if it was replaced before the time `before`. With `markers`, a delete marker expires if its key
    has no other entry left.
    """
    for _, of_key in groupby(entries, lambda entry: entry.key):
        kept: list[Entry] = []  # the first one is the latest
        replaced_at: datetime | None = None
        for entry in of_key:
            if not entry.is_latest and before is not None and replaced_at is not None and replaced_at < before:
                yield entry
            else:
                kept.append(entry)
            replaced_at = entry.modified
        if markers and len(kept) == 1 and kept[0].is_marker:
            yield kept[0]


def apply(s3: Any, now: datetime) -> int:
    """Apply the rules of all buckets. Return the number of deleted versions and delete markers."""
    return sum(_apply_to(s3, bucket["Name"], now) for bucket in s3.list_buckets()["Buckets"])


def _apply_to(s3: Any, bucket: str, now: datetime) -> int:
    try:
        rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except ClientError:  # the bucket has no rules
        return 0
    rules = [rule for rule in rules if rule["Status"] == "Enabled" and not rule.get("Filter", {}).get("Prefix")]
    for rule in rules:
        if "AbortIncompleteMultipartUpload" in rule:
            _abort(s3, bucket, now - timedelta(days=rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]))
    days = [
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules if "NoncurrentVersionExpiration" in rule
    ]
    markers = any(rule.get("Expiration", {}).get("ExpiredObjectDeleteMarker") for rule in rules)
    if not days and not markers:
        return 0
    found = expired(_entries(s3, bucket), now - timedelta(days=min(days)) if days else None, markers=markers)
    deleted = 0
    while chosen := [{"Key": entry.key, "VersionId": entry.version_id} for entry in islice(found, _AT_ONCE)]:
        s3.delete_objects(Bucket=bucket, Delete={"Objects": chosen, "Quiet": True})
        deleted += len(chosen)
    return deleted


def _entries(s3: Any, bucket: str) -> Iterator[Entry]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        listed = [
            Entry(found["Key"], found["VersionId"], found["LastModified"], found["IsLatest"], is_marker)
            for name, is_marker in (("Versions", False), ("DeleteMarkers", True))
            for found in page.get(name, ())
        ]
        # The times are in whole seconds, so they alone do not show which entry is the latest.
        newest_first = sorted(listed, key=lambda entry: (entry.is_latest, entry.modified), reverse=True)
        yield from sorted(newest_first, key=lambda entry: entry.key)


def _abort(s3: Any, bucket: str, before: datetime) -> None:
    for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
        if upload["Initiated"] < before:
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


async def applying(connect: Callable[[], Any], first: float = FIRST, every: float = EVERY) -> None:
    """Apply the rules again and again, until the task is cancelled. `connect` makes an S3 client."""
    await asyncio.sleep(first)
    while True:
        try:
            await asyncio.to_thread(lambda: apply(connect(), datetime.now(UTC)))
        except (BotoCoreError, ClientError):
            _log.exception("the lifecycle rules could not be applied; the next attempt follows in some hours")
        await asyncio.sleep(every)
