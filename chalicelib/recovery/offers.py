"""An object version is offered to the ingest function again by an event like the one that S3 sends.

Such an event is claimed like every other one, and the claim decides whether anything is left to do. So a version that
is offered more than once is loaded once.
"""

import re
from collections.abc import Callable
from urllib.parse import quote_plus

from chalicelib.cloud.buckets import Version
from chalicelib.loads.unattended import Unattended

Event = dict[str, object]
Offer = Callable[[Event], None]
_ETAG_AND_SEQUENCER = re.compile(r"([0-9a-f]{32}(?:-\d+)?):([0-9A-Fa-f]*)")  # what loads have without bucket versioning


def event_of_version(bucket: str, found: Version) -> Event:
    """The event of a version in the bucket. It has no sequencer, because only S3 knows that."""
    return _event(
        bucket,
        found.key,
        {"versionId": found.version_id, "eTag": found.etag, "size": found.size},
    )


def event_of_load(load: Unattended) -> Event:
    """The event of the version that a load is for: the inverse of `ingest.events.created_objects`."""
    bucket, _, key = load.source.removeprefix("s3://").partition("/")
    known: Event = {"versionId": load.version}
    if match := _ETAG_AND_SEQUENCER.fullmatch(load.version):
        known = {"eTag": match[1]}
    return _event(bucket, key, known | ({"sequencer": load.sequencer} if load.sequencer else {}))


def _event(bucket: str, key: str, about: Event) -> Event:
    # S3 encodes keys in events like form values, but keeps slashes.
    item = {"key": quote_plus(key, safe="/"), **about}
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}, "object": item},
    }
    return {"Records": [record]}
