"""Makes the events that offer an object version to the `ingest` function again. They have the form of S3's own events.

The `ingest` function handles an offered event like an event of S3: it first claims the load. It gets no claim if the
load has ended or has a worker. A version that is offered more than once is therefore loaded only once.
"""

import re
from collections.abc import Callable
from urllib.parse import quote_plus

from chalicelib.cloud.buckets import Version
from chalicelib.loads.unattended import Unattended

Event = dict[str, object]
Offer = Callable[[Event], None]
# The form of a load's version if its bucket has no versioning: the ETag and the sequencer.
_ETAG_AND_SEQUENCER = re.compile(r"([0-9a-f]{32}(?:-\d+)?):([0-9A-Fa-f]*)")


def event_of_version(bucket: str, version: Version) -> Event:
    """Return the event of an object version. The event has no sequencer, because only S3 knows the sequencer."""
    return _event(
        bucket,
        version.key,
        {"versionId": version.version_id, "eTag": version.etag, "size": version.size},
    )


def event_of_load(load: Unattended) -> Event:
    """Return the event of a load's object version. The inverse function is `ingest.events.created_objects`."""
    bucket, _, key = load.source.removeprefix("s3://").partition("/")
    version: Event = {"versionId": load.version}
    if match := _ETAG_AND_SEQUENCER.fullmatch(load.version):
        version = {"eTag": match[1]}
    return _event(bucket, key, version | ({"sequencer": load.sequencer} if load.sequencer else {}))


def _event(bucket: str, key: str, about: Event) -> Event:
    # S3 encodes a key in an event like the value of an HTML form, except that slashes stay.
    item = {"key": quote_plus(key, safe="/"), **about}
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}, "object": item},
    }
    return {"Records": [record]}
