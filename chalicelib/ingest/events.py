"""Reads the object versions from S3 event notifications."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

from chalicelib.loads.object_versions import ObjectCreated


def created_objects(event: dict[str, Any]) -> Iterator[ObjectCreated]:
    """Yield the object versions of an S3 event. Keys that end in `/` are folders, and are left out.

    In a bucket without versioning, the version consists of the ETag and the sequencer of the event.
    """
    for record in event["Records"]:
        bucket, item = record["s3"]["bucket"]["name"], record["s3"]["object"]
        key, version_id, sequencer = unquote_plus(item["key"]), item.get("versionId"), item.get("sequencer")
        if version_id == "null":  # versioning is suspended: every new object has this version id
            version_id = None
        if key.endswith("/"):
            continue
        version = version_id or f"{item.get('eTag', '')}:{sequencer or ''}"
        yield ObjectCreated(key, f"s3://{bucket}/{key}", version, version_id, sequencer)
