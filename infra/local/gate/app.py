"""The gate: an ASGI application that checks each request before ministack gets the request."""

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from http import HTTPStatus

from chalicelib.core.browser_headers import HEADERS
from infra.local.gate import bodies, signatures
from infra.local.gate.bodies import Check, Checked, Chunks, Hashed, Incoming, Message, Receive, Short, Unchecked
from infra.local.gate.credentials import Keys, Session
from infra.local.gate.forms import Form
from infra.local.gate.refusal import LARGEST, Refused, TooLong, denied, mismatch, too_large
from infra.local.gate.request_types import RequestType, is_ours, type_of
from infra.local.gate.signatures import Head, Signature
from infra.local.gate.turns import Turns

Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Written = Callable[[str], Awaitable[None]]

HELD = 100 * 1024 * 1024  # the most bytes of a body whose hash is in no header, such as a function's code in base64
LONGEST_CALL = 10 * 1024 * 1024  # the most bytes of a body that API Gateway accepts
_DRAINED = 5 * LARGEST  # the most bytes of a refused body that are read, so that the client reads the response
_CORS = b"access-control-"
# Services that a function may call, as far as its policy allows. The gate refuses requests of functions to all other
# services, because for some of these ministack checks no policy and allows every signed request.
FOR_FUNCTIONS = ("events", "lambda", "logs", "s3", "secretsmanager", "sns", "sqs", "sts")
_STREAMED = {  # x-amz-content-sha256 of a body in chunks: (are the chunks signed, do headers follow the body)
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": (True, False),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": (True, True),
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": (False, True),
}


class Gate:
    """Passes requests to `inner` if they are signed with `keys`.

    If a function has signed a request, `admit` is called with the function's session before the request is passed on.
    If a request has changed a service, `written` is awaited with the service's name before the response is sent.
    Changes of objects do not count, because ministack itself saves these at once.
    """

    def __init__(
        self, inner: App, keys: Keys, admit: Callable[[Session], None], written: Written, now: Callable[[], datetime]
    ) -> None:
        self._inner, self._keys, self._admit, self._written, self._now = inner, keys, admit, written, now
        self._turns = Turns()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] != "http":
            await self._inner(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        incoming = Incoming(receive)
        try:
            head = Head.of(scope)
            if not is_ours(head.header("host")):
                raise Refused(421, "MisdirectedRequest", "only 127.0.0.1 and localhost are served here")
            await self._admit_by_type(head, scope, incoming, send)
        except Refused as refusal:
            if refusal.status != HTTPStatus.REQUEST_TIMEOUT:  # for a sender that was too slow, do not wait again
                await incoming.drained(_DRAINED)
            await _refuse(refusal, scope, send)

    async def _admit_by_type(self, head: Head, scope: Message, receive: Receive, send: Send) -> None:
        match type_of(head, scope["path"]):
            case RequestType.NOT_SERVED:
                raise Refused(404, "NotFound", "nothing is served at this path")
            case RequestType.READY:
                await self._pass(scope, receive, _without_cors(send), Unchecked())
            case RequestType.API:
                await self._pass(_unsigned(scope), receive, send, Short(LONGEST_CALL, TooLong()))
            case RequestType.PREFLIGHT:
                await self._pass(_unsigned(scope), receive, _of_rules(head, send, preflight=True), Unchecked())
            case RequestType.FORM:
                form = Form(head.header("content-type"), scope["path"].strip("/"), self._secret_of, self._now())
                async with self._turns.one():
                    await self._pass(_unsigned(scope), receive, _of_rules(head, send), form)
            case RequestType.CONFIRMATION:
                await self._pass(_unsigned(scope), receive, _without_cors(send), Unchecked())
            case RequestType.AWS:
                await self._signed(head, scope, receive, send)

    async def _signed(self, head: Head, scope: Message, receive: Receive, send: Send) -> None:
        claim = signatures.claimed(head)
        if claim is None:
            raise Refused(403, "AccessDenied", "requests must be signed with the credentials in this stage's env file")
        if claim.service == "s3" and not claim.token:
            async with self._turns.one():
                await self._claimed(claim, head, scope, receive, send)
        else:
            await self._claimed(claim, head, scope, receive, send)

    async def _claimed(self, claim: Signature, head: Head, scope: Message, receive: Receive, send: Send) -> None:
        secret = self._secret_of(claim.access_key, claim.token)
        if claim.token and claim.service not in FOR_FUNCTIONS:
            raise denied(f"functions have no access to {claim.service[:40]} here")
        signatures.check_time(claim, self._now())
        signatures.check_signed_headers(head, claim)
        if _announced(head) > LARGEST:
            raise too_large()
        receive, check = await _body_check(head, claim, secret, receive)
        send = _of_rules(head, send)
        if _changes(head, claim):
            send = _after(send, partial(self._written, claim.service))
        await self._pass(scope, receive, send, check)

    def _secret_of(self, access_key: str, token: str) -> str:
        """Return the secret of an access key. Raises Refused for a key that was not issued here."""
        if access_key == self._keys.access_key and not token:
            return self._keys.secret_key
        session = self._keys.session_of(access_key, token)
        if session is None:
            unknown = "The AWS Access Key Id you provided does not exist in our records."
            raise Refused(403, "InvalidAccessKeyId", f"{unknown} This stage's key is in its env file.")
        self._admit(session)
        return session.secret_key

    async def _pass(self, scope: Message, receive: Receive, send: Send, check: Check) -> None:
        checked = Checked(receive, check)
        started = False

        async def unless_refused(message: Message) -> None:
            nonlocal started
            if checked.refusal is None:
                started = True
                await send(message)

        with suppress(bodies.Disconnected):
            await self._inner(scope, checked, unless_refused)
        if checked.refusal is not None and not started:
            raise checked.refusal


async def _body_check(head: Head, claim: Signature, secret: str, receive: Receive) -> tuple[Receive, Check]:
    """Verify the signature. Return the body, and the check that compares the body with its signed hash. Raises Refused.

    If the hash of the body is in no header, the signature can be verified only with the whole body. So the gate holds
    such a body in memory, as ministack does, too.
    """
    declared = "" if claim.seconds is not None else head.header("x-amz-content-sha256")
    verified = partial(signatures.matches, head, claim, secret)
    if claim.seconds is not None:
        declared = signatures.UNSIGNED
    elif claim.service == "s3" and head.header("transfer-encoding") and declared not in _STREAMED:
        raise Refused(
            501, "NotImplemented", "A header you provided implies functionality that is not implemented:"
            " Transfer-Encoding. S3 needs the length first; curl -T - sends chunks, curl -T file does not."
        )  # fmt: skip
    elif not declared:
        return await _undeclared(head, claim, verified, receive)
    if not verified(declared):
        raise mismatch()
    if declared == signatures.UNSIGNED:
        return receive, Short(LARGEST, too_large())
    return receive, _chunks(head, claim, secret, declared) if declared in _STREAMED else Hashed(declared)


async def _undeclared(
    head: Head, claim: Signature, verified: Callable[[str], bool], receive: Receive
) -> tuple[Receive, Check]:
    """Do the work of `_body_check` for a request without x-amz-content-sha256."""
    # curl before version 8 signs an upload to S3 as if the body were empty. The gate accepts such a body as unsigned.
    if (not head.has_body or claim.service == "s3") and verified(bodies.EMPTY):
        return receive, Unchecked() if head.has_body else Hashed(bodies.EMPTY)
    body = await bodies.whole(receive, HELD)
    if not verified(sha256(body).hexdigest()):
        raise mismatch()
    return bodies.again(body, receive), Unchecked()


def _chunks(head: Head, claim: Signature, secret: str, declared: str) -> Chunks:
    """Return the check for a body in chunks. Raises Refused."""
    signed, trailer = _STREAMED[declared]
    length = head.header("x-amz-decoded-content-length")
    if not re.fullmatch(r"[0-9]{1,19}", length):
        raise Refused(411, "MissingContentLength", "x-amz-decoded-content-length must give the length of the body")

    def sign(kind: str, previous: str, *hashes: str) -> str:
        lines = (f"AWS4-HMAC-SHA256-{kind}", claim.stamp, signatures.scope_of(claim, secret), previous, *hashes)
        return signatures.sign(claim, secret, "\n".join(lines))

    return Chunks(int(length), sign if signed else None, claim.signature, trailer)


def _announced(head: Head) -> int:
    """Return the announced length of the body's content, or 0 if no valid length is announced.

    A body in chunks is a little longer than its content, so another header announces the length of the content.
    """
    in_chunks = head.header("x-amz-content-sha256") in _STREAMED
    length = head.header("x-amz-decoded-content-length" if in_chunks else "content-length").strip()
    return int(length) if re.fullmatch(r"[0-9]{1,19}", length) else 0


def _changes(head: Head, claim: Signature) -> bool:
    """Return whether a request changes state that must be saved.

    This is True for every write except two kinds: ministack itself writes objects to disk at once, and the invocation
    of a function changes nothing.
    """
    if head.method in ("GET", "HEAD") or head.path.endswith(("/invocations", "/invoke-async")):
        return False
    return claim.service != "s3" or head.path.strip("/").count("/") == 0


def _unsigned(scope: Message) -> Message:
    """Return the request without its x-amz- headers, because only signed requests may have such headers."""
    return {**scope, "headers": [pair for pair in scope["headers"] if not pair[0].lower().startswith(b"x-amz-")]}


def _without_cors(send: Send) -> Send:
    return _of_rules(None, send)


def _of_rules(head: Head | None, send: Send, *, preflight: bool = False) -> Send:
    """Remove CORS headers from responses, because ministack allows any origin (`*`) nearly everywhere.

    Headers that come from the CORS rule of a bucket stay. The gate recognizes these headers, because they name the
    origin of the request. If no rule allows a preflight, the preflight is refused.
    """
    origin = head.header("origin").encode("latin-1", "replace") if head else b""

    async def filtered(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name.lower(), value) for name, value in message.get("headers", ())]
            if not origin or (_CORS + b"allow-origin", origin) not in headers:
                headers = [pair for pair in headers if not pair[0].startswith(_CORS)]
                refused = preflight and message["status"] < 300
                message = {**message, "headers": headers, **({"status": 403} if refused else {})}
        await send(message)

    return filtered


def _after(send: Send, done: Callable[[], Awaitable[None]]) -> Send:
    """Delay a successful response until `done` has returned."""

    async def held(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] < 300:
            await done()
        await send(message)

    return held


def utc_now() -> datetime:
    return datetime.now(UTC)


async def _refuse(refusal: Refused, scope: Message, send: Send) -> None:
    sent = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    kind, body = refusal.response(sent.get(b"content-type", ""), sent.get(b"x-amz-target", ""))
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-amzn-errortype", refusal.code.encode()),
        (b"connection", b"close"),
        *((name.lower().encode(), value.encode()) for name, value in HEADERS.items()),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
