"""Checks the forms with which web pages and programs upload files to S3.

In a form, a signed policy and other fields precede the file. This module checks the signature of the policy, its
expiration, its bucket and, roughly, the size of the file. ministack also checks the conditions of the policy, but only
after it has received the whole file.
"""

import base64
import hmac
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from infra.local.gate import signatures
from infra.local.gate.refusal import LARGEST, Refused, denied, malformed, mismatch, old_version, too_large
from infra.local.gate.signatures import Signature

MOST = 64 * 1024  # the most bytes before the file; S3 accepts 20 KB
# The type must have exactly one parameter. Otherwise ministack's parser might find another boundary than this one.
_TYPE = re.compile(r'multipart/form-data; *boundary=("?)([0-9A-Za-z\'()+_,./:=?-]{1,70})\1', re.IGNORECASE)
NAME = re.compile(rb'(?:^|\r\n)content-disposition: *form-data; *name=(?:"([^"\r\n]*)"|([^\s;"]+))', re.IGNORECASE)
_FIELDS = ("policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")

SecretOf = Callable[[str, str], str]


def is_form(content_type: str) -> bool:
    return content_type.lower().startswith("multipart/form-data")


class Form:
    """Checks the body of a form. `secret_of(access key, token)` raises Refused for unknown keys."""

    def __init__(self, content_type: str, bucket: str, secret_of: SecretOf, now: datetime) -> None:
        match = _TYPE.fullmatch(content_type.strip())
        if not match:
            raise malformed("the content type of a form must be multipart/form-data; boundary=…, and nothing else")
        self._between = b"\r\n--" + match[2].encode()
        self._bucket, self._secret_of, self._now = bucket, secret_of, now
        self._seen = bytearray(b"\r\n")  # then the first boundary follows a line end, as the others do
        self._verified = False
        self._left, self._most = MOST, LARGEST  # bytes that may still come, and bytes that the file may have

    async def feed(self, data: bytes) -> None:
        self._left -= len(data)
        if self._verified:
            if self._left < 0:
                raise too_large(self._most)
            return
        self._seen += data
        fields = self._before_file()
        if fields is not None:
            self._most = _verify(fields, self._bucket, self._secret_of, self._now)
            self._left = MOST + self._most
            self._verified = True
            self._seen.clear()
        elif len(self._seen) > MOST:
            raise Refused(
                400,
                "MaxPostPreDataLengthExceeded",
                "Your POST request fields preceding the upload file were too large.",
            )

    async def end(self) -> None:
        if not self._verified:
            raise Refused(400, "InvalidArgument", "POST requires exactly one file upload per request, the last field.")

    def _before_file(self) -> dict[str, str] | None:
        """Return the fields that precede the file, or None if the file has not begun yet. Raises Refused."""
        nothing, *parts = bytes(self._seen).split(self._between + b"\r\n")
        if nothing and not (self._between + b"\r\n").startswith(nothing):
            raise malformed("the form does not begin with its boundary")
        fields: dict[str, str] = {}
        for part in parts:
            head, blank, value = part.partition(b"\r\n\r\n")
            name = NAME.search(head) if blank else None
            if blank and name is None:
                raise malformed("a part of the form has no name")
            if name is None:
                return None
            key = (name[1] or name[2] or b"").decode("latin-1").lower()
            if key == "file":
                return fields
            if key in fields:
                raise malformed(f"the form has the field {key[:60]!r} twice")
            fields[key] = value.decode("latin-1")
        return None


def _verify(fields: dict[str, str], bucket: str, secret_of: SecretOf, now: datetime) -> int:
    """Verify the signed policy. Return the most bytes that the file may have. Raises Refused."""
    if "awsaccesskeyid" in fields:
        raise old_version()
    if missing := [name for name in _FIELDS if not fields.get(name)]:
        raise denied(f"only signed forms are accepted: {missing[0]} is missing")
    if fields["x-amz-algorithm"] != signatures.ALGORITHM:
        raise malformed(f"the form is not signed with {signatures.ALGORITHM}")
    stamp, policy = fields["x-amz-date"], fields["policy"]
    access_key, region, service = signatures.credential(fields["x-amz-credential"], stamp)
    token = fields.get("x-amz-security-token", "")
    claimed = Signature(access_key, region, service, stamp, (), fields["x-amz-signature"], token)
    computed = signatures.sign(claimed, secret_of(access_key, token), policy)
    if service != "s3" or not hmac.compare_digest(computed.encode(), claimed.signature.encode("latin-1", "replace")):
        raise mismatch()
    try:
        document = json.loads(base64.b64decode(policy, validate=True))
        expired = now >= datetime.fromisoformat(document["expiration"])
        sizes = [int(size) for kind, _, size in map(_triple, document["conditions"]) if kind == "content-length-range"]
        named = any(_names_bucket(condition, bucket) for condition in document["conditions"])
    except (ValueError, TypeError, KeyError):
        raise Refused(400, "InvalidPolicyDocument", "the policy needs an expiration and conditions") from None
    if expired:
        raise denied("Invalid according to Policy: Policy expired.")
    if not named:
        raise denied(f"Invalid according to Policy: no condition allows the bucket {bucket[:63]}")
    return min(LARGEST, *sizes)


def _triple(condition: Any) -> Any:
    """Return the condition if it is a list of three, else three empty texts."""
    return condition if isinstance(condition, list) and len(condition) == 3 else ("", "", "")


def _names_bucket(condition: Any, bucket: str) -> bool:
    """Return whether a condition names the bucket.

    The gate accepts a form only for a bucket that the policy names. Paths of other services look like the path of a
    bucket, and some of these services accept unsigned requests.
    """
    match condition:
        case {"bucket": name} | ["eq", "$bucket", name]:
            return bool(name == bucket)
        case ["starts-with", "$bucket", str(beginning)]:
            return bucket.startswith(beginning)
    return False
