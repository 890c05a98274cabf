"""What a request is after, told by its head: which door of the embedded cloud it comes to."""

import re
from enum import Enum, auto

from infra.local.gate.forms import is_form
from infra.local.gate.signatures import Head

READY = "/_ministack/ready"
# ministack's own paths, whatever is signed: nothing on AWS has them. Also where it would show or take things unsigned.
_CONTROL = re.compile(r"/(?:_ministack|_localstack|_aws|health)(?:/|$)")
# The two forms of an API's address that need no name of a host, as ministack reads them.
_API = re.compile(r"/_aws/execute-api/[^/]+/.*|/restapis/[^/]+/[^/]*/_user_request_(?:/.*)?", re.DOTALL)
_BUCKET = re.compile(r"/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/.*)?", re.DOTALL)
# Forms go to a bucket itself. A query or more of a path would ask other services for something, under no name.
_FORMS = re.compile(r"/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/?")
# Names of this machine, which no other host can take. Their port does not matter: a tunnel or a proxy has another.
_OURS = re.compile(r"(?:127\.0\.0\.1|localhost)(?::\d{1,5})?")


class Door(Enum):
    READY = auto()
    API = auto()
    NOWHERE = auto()
    PREFLIGHT = auto()
    FORM = auto()
    AWS = auto()


def door(head: Head, path: str) -> Door:
    """Where a request goes; `path` is the decoded one, by which ministack decides."""
    if _API.fullmatch(path):
        return Door.API
    if path == READY and head.method == "GET":
        return Door.READY
    if _CONTROL.match(path):
        return Door.NOWHERE
    if head.method == "OPTIONS":
        return Door.PREFLIGHT if _BUCKET.fullmatch(path) else Door.NOWHERE
    unsigned = not head.header("authorization") and not head.query
    if head.method == "POST" and unsigned and is_form(head.header("content-type")) and _FORMS.fullmatch(path):
        return Door.FORM
    return Door.AWS


def is_ours(host: str) -> bool:
    """Whether a request came under a name of this machine: a page that had its name lead here (DNS rebinding) sends
    its own."""
    return _OURS.fullmatch(host.lower()) is not None
