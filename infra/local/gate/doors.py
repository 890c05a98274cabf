"""Where a request goes, which its head decides: each kind of request has a door into the embedded cloud."""

import re
from enum import Enum, auto

from infra.local.gate.forms import is_form
from infra.local.gate.signatures import Head

READY = "/_ministack/ready"
# ministack's own paths are closed, even to signed requests: AWS does not have them. On some of them ministack would
# read or write without a signature.
_CONTROL = re.compile(r"/(?:_ministack|_localstack|_aws|health)(?:/|$)")
# The two forms of an API's address that do not depend on a host name, as ministack reads them.
_API = re.compile(r"/_aws/execute-api/[^/]+/.*|/restapis/[^/]+/[^/]*/_user_request_(?:/.*)?", re.DOTALL)
_BUCKET = re.compile(r"/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/.*)?", re.DOTALL)
# Forms go to the path of a bucket. With a query or a longer path, other services would take them as unsigned requests.
_FORMS = re.compile(r"/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/?")
# Names of this machine, which no other host can have. Their port does not matter: a tunnel or a proxy has another one.
_OURS = re.compile(r"(?:127\.0\.0\.1|localhost)(?::\d{1,5})?")


class Door(Enum):
    READY = auto()
    API = auto()
    NOWHERE = auto()
    PREFLIGHT = auto()
    FORM = auto()
    AWS = auto()


def door(head: Head, path: str) -> Door:
    """Where a request goes. `path` is the decoded path, which ministack decides by."""
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
    """Whether a request has a host name of this machine. A page whose own name was made to resolve to this machine (DNS
    rebinding) sends that name."""
    return _OURS.fullmatch(host.lower()) is not None
