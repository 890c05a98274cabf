"""Verifies AWS Signature Version 4 as a server: who signed a request, and whether it was changed since.

No library verifies these signatures for servers. botocore has functions that compute a signature without sending the
request. So this module lets botocore sign the received request again, and compares the two signatures. moto does the
same. The alternatives do not fit:

- ministack.core.sigv4 is missing in the environment of the tests, treats a missing signed header as an empty one, and
  needs the whole body.
- moto and LocalStack also verify signatures, but they are many times larger than the embedded cloud.

Some rules are not in botocore: which parts must be signed, how far clocks may differ, when a signature expires, and how
to parse the path and the query. These rules follow S3's documentation
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html).
"""

import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote_plus

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.credentials import Credentials
from botocore.utils import normalize_url_path

from infra.local.gate.refusal import Refused, denied, malformed, mismatch, old_version

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
SKEW = timedelta(minutes=15)  # the longest allowed difference between the sender's clock and this machine's clock
LONGEST = 7 * 24 * 3600  # seconds that a link may be valid
_STAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_TARGET = re.compile(r"/[!\"$-~]*")  # `#` is refused: it ends the path in a URL, but not in a request
# Each part occurs exactly once. With two credentials, the gate might check one and ministack might use the other.
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} +Credential=([^,\s=]+), *SignedHeaders=([^,\s=]+), *Signature=([0-9a-f]{{64}})"
)
_PLAIN = re.compile(r"[A-Za-z0-9._~-]*")  # texts that URL encoding does not change
_ONCE = ("authorization", "host", "content-length", "content-type", "x-amz-date", "x-amz-content-sha256")
_QUERY = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders")
_OLD = {"awsaccesskeyid", "signature", "signatureversion"}  # query parameters of Signature Version 2


@dataclass(frozen=True)
class Head:
    """A received request without its body. The names of headers are in lower case."""

    method: str
    path: str  # as the client sent it, not decoded
    query: list[tuple[str, str]]
    headers: dict[str, list[str]]

    @classmethod
    def of(cls, scope: Any) -> "Head":
        """Return the head of an ASGI scope. Raises Refused if the request is ambiguous."""
        path = scope["raw_path"].decode("latin-1")
        if not _TARGET.fullmatch(path):
            raise malformed("the path contains characters that must be encoded")
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(_text(value))
        if twice := [name for name in (*_ONCE, "x-amz-security-token") if len(headers.get(name, ())) > 1]:
            raise malformed(f"the header {twice[0]} is given twice")
        return cls(scope["method"], path, _pairs(scope["query_string"].decode("latin-1")), headers)

    def header(self, name: str) -> str:
        return ",".join(self.headers.get(name, ()))

    def parameter(self, name: str) -> str:
        return next((value for key, value in self.query if key == name), "")

    @property
    def has_body(self) -> bool:
        return bool(self.header("transfer-encoding")) or self.header("content-length").strip() not in ("", "0")


@dataclass(frozen=True)
class Signature:
    """A signature, with what it says about its key, its time and the signed headers.

    `seconds` is how long a link is valid, None for a signature in a header.
    """

    access_key: str
    region: str
    service: str
    stamp: str
    signed_headers: tuple[str, ...]
    signature: str
    token: str
    seconds: int | None = None

    @property
    def at(self) -> datetime:
        """Return the time of the signature."""
        return instant(self.stamp)


def claimed(head: Head) -> Signature | None:
    """Return the signature of a request, or None if it has none. Raises Refused for an incomplete signature."""
    names = [name for name, _ in head.query]
    lower = [name.lower() for name in names]
    in_query = any(name in lower for name in ("x-amz-algorithm", "x-amz-credential", "x-amz-signature"))
    authorization = head.header("authorization")
    if authorization and in_query:
        raise malformed("only one of Authorization and X-Amz-Signature may be given")
    if _OLD.intersection(lower) or authorization.startswith("AWS "):
        raise old_version()
    if in_query:
        if any(name not in names or lower.count(name.lower()) != 1 for name in (*_QUERY, "X-Amz-Signature")):
            raise Refused(
                400, "AuthorizationQueryParametersError", f"a link needs {', '.join(_QUERY)} and X-Amz-Signature"
            )
        return _of_query(head)
    return _of_header(head, authorization) if authorization.startswith("AWS4-") else None


def check_time(signature: Signature, now: datetime) -> None:
    """Raise Refused if the signature has expired, or if its time is too far from `now`."""
    at = signature.at
    if signature.seconds is None:
        if abs(now - at) > SKEW:
            raise Refused(403, "RequestTimeTooSkewed", "the time of the signature is off by more than 15 minutes")
    elif at - now > SKEW:
        raise denied("Request is not yet valid")
    elif now - at > timedelta(seconds=signature.seconds):
        raise denied("Request has expired")


def check_signed_headers(head: Head, signature: Signature) -> None:
    """Raise Refused if `host` or a header of AWS was not signed, or if a signed header is missing."""
    if "host" not in signature.signed_headers:
        raise denied("the header host must be signed")
    unsigned = {name for name in head.headers if name.startswith("x-amz-")} - set(signature.signed_headers)
    if unsigned:
        raise denied(f"There were headers present in the request which were not signed: {', '.join(sorted(unsigned))}")
    if not set(signature.signed_headers) <= set(head.headers):
        raise mismatch()


def matches(head: Head, signature: Signature, secret: str, payload_hash: str) -> bool:
    """Return whether the signature is correct for this request, if its body has the hash `payload_hash`."""
    auth = signer(signature, secret)
    request = _request(head, signature, payload_hash)
    computed = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return hmac.compare_digest(computed.encode(), signature.signature.encode())


def signer(signature: Signature, secret: str) -> Any:
    """Return botocore's signer for the signature's region and service."""
    kind = _OfS3 if signature.service == "s3" else _OfOthers
    return kind(Credentials(signature.access_key, secret), signature.service, signature.region)


def sign(signature: Signature, secret: str, text: str) -> str:
    """Sign another text, such as a policy or a chunk, with the same key, region, service and day."""
    return str(signer(signature, secret).signature(text, _dated(signature)))


def scope_of(signature: Signature, secret: str) -> str:
    """Return the credential scope: day, region and service."""
    return str(signer(signature, secret).credential_scope(_dated(signature)))


def credential(text: str, stamp: str) -> tuple[str, str, str]:
    """Return (access key, region, service) of a credential. `stamp` is the time of the request. Raises Refused."""
    try:
        access_key, day, region, service, end = text.split("/")
        instant(stamp)
    except ValueError:
        raise malformed("the credential or the date of the signature is malformed") from None
    if end != "aws4_request" or day != stamp[:8]:
        raise Refused(403, "SignatureDoesNotMatch", "the credential's date is not the date of the request")
    return access_key, region, service


def instant(stamp: str) -> datetime:
    """Return the time of a stamp such as `20260131T235959Z`. Raises ValueError."""
    if not _STAMP.fullmatch(stamp):
        raise ValueError(stamp)
    return datetime.fromisoformat(stamp)


class _AsSigned:
    """Signs the headers and the hash that the sender signed. botocore alone would choose other headers."""

    def headers_to_sign(self, request: Any) -> Any:
        return request.headers

    def payload(self, request: Any) -> str:
        return str(request.context["payload"])


class _OfS3(_AsSigned, S3SigV4Auth):
    """Signs requests to S3: the path is signed as it is sent."""


class _OfOthers(_AsSigned, SigV4Auth):
    """Signs requests to other services: the path is normalised and encoded once more before it is signed."""


class _Signed(dict[str, list[str]]):
    """The signed headers, in a dictionary that has the method `get_all`, which botocore calls."""

    get_all = dict[str, list[str]].__getitem__


def _request(head: Head, signature: Signature, payload_hash: str) -> Any:
    """Return the request as botocore needs it. botocore's own class AWSRequest would take three times as long."""
    if signature.service != "s3" and normalize_url_path(head.path) != head.path:
        raise malformed("the path contains empty or dotted segments")
    pairs = (pair for pair in head.query if signature.seconds is None or pair[0] != "X-Amz-Signature")
    query = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in pairs)
    request = _dated(signature)
    request.method, request.url, request.params = head.method, f"http://host{head.path}?{query}", None
    request.headers = _Signed((name, head.headers[name]) for name in signature.signed_headers)
    request.context["payload"] = payload_hash
    return request


def _dated(signature: Signature) -> Any:
    return SimpleNamespace(context={"timestamp": signature.stamp})


def _encoded(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else quote(text, safe="-_.~")


def _of_header(head: Head, authorization: str) -> Signature:
    parts = _AUTHORIZATION.fullmatch(authorization)
    if parts is None:
        raise malformed(f"the Authorization header is not valid for {ALGORITHM}")
    claimed_credential, names, signature = parts.groups()
    stamp = head.header("x-amz-date")
    access_key, region, service = credential(claimed_credential, stamp)
    return Signature(access_key, region, service, stamp, _names(names), signature, head.header("x-amz-security-token"))


def _of_query(head: Head) -> Signature:
    algorithm, claimed_credential, stamp, seconds, names = (head.parameter(name) for name in _QUERY)
    access_key, region, service = credential(claimed_credential, stamp)
    if algorithm != ALGORITHM or not re.fullmatch(r"\d{1,6}", seconds) or not 0 < int(seconds) <= LONGEST:
        raise Refused(
            400, "AuthorizationQueryParametersError", f"a link needs {ALGORITHM}, and may be valid for a week at most"
        )
    if service != "s3":
        raise denied("only links to S3 are accepted")
    signed, token = head.parameter("X-Amz-Signature"), head.parameter("X-Amz-Security-Token")
    return Signature(access_key, region, service, stamp, _names(names), signed, token, int(seconds))


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(";"))
    if list(names) != sorted(set(names)) or text != text.lower():
        raise malformed("the names of signed headers must be sorted and in lower case")
    return names


def _decoded(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else unquote_plus(text, errors="strict")


def _pairs(query: str) -> list[tuple[str, str]]:
    """Parse a query as ministack does. Raises Refused if the query is not UTF-8, and so ambiguous."""
    try:
        parts = [pair.partition("=") for pair in query.split("&") if pair]
        return [(_decoded(name), _decoded(value)) for name, _, value in parts]
    except UnicodeDecodeError:
        raise malformed("the query is not UTF-8") from None


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
