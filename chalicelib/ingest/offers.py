"""Offering an object version to the ingest function once more, by an event as S3 would have sent it.

There is one way into a load, and its claim decides, as for every event, whether there is anything left to do. Nothing
that is offered too often is loaded twice.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

from chalicelib.storage import Version
from chalicelib.unattended import Unattended

Event = dict[str, Any]
Offer = Callable[[Event], None]
_ETAG_AND_SEQUENCER = re.compile(r"([0-9a-f]{32}(?:-\d+)?):([0-9A-Fa-f]*)")  # what loads have without bucket versioning


def event_of_version(bucket: str, found: Version) -> Event:
    """A version that lies in the bucket. Nobody but S3 knows its sequencer."""
    return _event(
        bucket,
        found.key,
        {"versionId": found.version_id, "eTag": found.etag, "size": found.size},
    )


def event_of_load(load: Unattended) -> Event:
    """The version that a load is for, as `sources.created_objects` told it."""
    bucket, _, key = load.source.removeprefix("s3://").partition("/")
    known: Event = {"versionId": load.version}
    if match := _ETAG_AND_SEQUENCER.fullmatch(load.version):
        known = {"eTag": match[1]}
    return _event(bucket, key, known | ({"sequencer": load.sequencer} if load.sequencer else {}))


def _event(bucket: str, key: str, about: Event) -> Event:
    # S3 writes keys in events as forms are written, but leaves slashes.
    item = {"key": quote_plus(key, safe="/"), **about}
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}, "object": item},
    }
    return {"Records": [record]}
