"""Finds the type of a request by its head. The gate treats each type in its own way."""

import re
from enum import Enum, auto

from infra.local.gate.forms import is_form
from infra.local.gate.signatures import Head

READY = "/_ministack/ready"
# ministack's control paths are closed even to signed requests. AWS does not have these paths, and on some of them
# ministack reads or writes without a signature.
_CONTROL = re.compile(r"/(?:_ministack|_localstack|_aws|health)(?:/|$)")
# The two kinds of paths at which ministack serves an API under any host name.
_API = re.compile(r"/_aws/execute-api/[^/]+/.*|/restapis/[^/]+/[^/]*/_user_request_(?:/.*)?", re.DOTALL)
_BUCKET = re.compile(r"/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/.*)?", re.DOTALL)
# Forms are sent to the path of a bucket. With a query or a longer path, ministack would pass them to other services as
# unsigned requests.
_FORMS = re.compile(r"/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/?")
# Names of this machine, which no other host can have. The port is not checked, because behind a tunnel or a proxy it is
# another port.
_OURS = re.compile(r"(?:127\.0\.0\.1|localhost)(?::\d{1,5})?")


class RequestType(Enum):
    READY = auto()
    API = auto()
    NOT_SERVED = auto()
    PREFLIGHT = auto()
    FORM = auto()
    CONFIRMATION = auto()
    AWS = auto()


def type_of(head: Head, path: str) -> RequestType:
    """Return the type of a request. `path` is the decoded path, because ministack, too, decides by the decoded path."""
    if _API.fullmatch(path):
        return RequestType.API
    if path == READY and head.method == "GET":
        return RequestType.READY
    if _CONTROL.match(path):
        return RequestType.NOT_SERVED
    if head.method == "OPTIONS":
        return RequestType.PREFLIGHT if _BUCKET.fullmatch(path) else RequestType.NOT_SERVED
    unsigned = not head.header("authorization") and not head.query
    if head.method == "POST" and unsigned and is_form(head.header("content-type")) and _FORMS.fullmatch(path):
        return RequestType.FORM
    if path == "/" and _confirms(head):
        return RequestType.CONFIRMATION
    return RequestType.AWS


def _confirms(head: Head) -> bool:
    """Return whether a request is for the SubscribeURL of SNS.

    A webhook opens this URL without a signature, as on AWS. The token in the URL is known only to the webhook. No other
    parameter is allowed, because ministack chooses the operation by the parameters.
    """
    if head.method != "GET" or head.has_body or head.header("authorization"):
        return False
    names = sorted(name for name, _ in head.query)
    return names == ["Action", "Token", "TopicArn"] and head.parameter("Action") == "ConfirmSubscription"


def is_ours(host: str) -> bool:
    """Return whether a request has a host name of this machine.

    This stops DNS rebinding, in which the host name of an attacker's web page resolves to this machine. The browser
    then sends that host name.
    """
    return _OURS.fullmatch(host.lower()) is not None
