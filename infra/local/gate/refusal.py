"""Makes the gate's error responses, in the protocol of the service that the client called."""

import json
from xml.sax.saxutils import escape

LARGEST = 1024**3  # the most bytes of a body; S3 itself accepts five times as many in one request


class Refused(Exception):
    """The gate refuses the request. `code` and `message` are AWS's own if AWS has an error of this kind."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def response(self, content_type: str, target: str) -> tuple[str, bytes]:
        """Return (content type, body). The request's headers `content_type` and `target` show its protocol."""
        if target or content_type.startswith("application/json") or content_type.startswith("application/x-amz-json"):
            return "application/json", json.dumps({"__type": self.code, "message": self.message}).encode()
        error = f"<Error><Code>{escape(self.code)}</Code><Message>{escape(self.message)}</Message></Error>"
        if content_type.startswith("application/x-www-form-urlencoded"):  # IAM and old clients of SQS use this protocol
            error = f"<ErrorResponse>{error}</ErrorResponse>"
        return "application/xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{error}'.encode()


class TooLong(Refused):
    """The body of a request to the API is too long. The response is like API Gateway's."""

    def __init__(self) -> None:
        super().__init__(413, "RequestTooLongException", "Request Too Long")

    def response(self, content_type: str, target: str) -> tuple[str, bytes]:  # noqa: ARG002 - always JSON
        return "application/json", json.dumps({"message": str(self)}).encode()


def denied(message: str) -> Refused:
    return Refused(403, "AccessDenied", message)


def malformed(message: str) -> Refused:
    return Refused(400, "InvalidRequest", message)


def mismatch() -> Refused:
    return Refused(
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your key and signing"
        " method; this stage's credentials are in its env file.",
    )


def too_large(most: int = LARGEST) -> Refused:
    message = f"Your proposed upload exceeds the maximum allowed size of {most} bytes."
    if most == LARGEST:
        message += " Send a larger file in parts, as `aws s3 cp` does."
    return Refused(400, "EntityTooLarge", message)


def old_version() -> Refused:
    return malformed("Signature Version 2 is not supported: sign with Version 4 (signature_version='s3v4')")
