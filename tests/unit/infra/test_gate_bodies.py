"""Tests that the application behind the gate acts on a request only if its body is the body that was signed."""

import asyncio
import threading
from hashlib import sha256

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from infra.local.gate import bodies, signatures
from infra.local.gate.app import Send
from infra.local.gate.bodies import Checked, Chunks, Hashed, Message, Receive, Unchecked
from infra.local.gate.refusal import LARGEST, Refused
from infra.local.gate.signatures import Signature
from tests.asgi import HOST, KEYS, Behind, GateClient, scope_of_signed


def put_with_hash(payload: str, body: bytes, **more: str) -> Message:
    """Return a PUT request whose header x-amz-content-sha256 is `payload`."""
    request = AWSRequest("PUT", f"http://{HOST}/bucket/key", {name.replace("_", "-"): v for name, v in more.items()})

    class WithThisHash(S3SigV4Auth):
        def payload(self, _: AWSRequest) -> str:
            return payload

    WithThisHash(Credentials(KEYS.access_key, KEYS.secret_key), "s3", "us-east-1").add_auth(request)
    return scope_of_signed(request, len(body))


def pieces(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)] or [b""]


@given(st.binary(max_size=200), st.integers(1, 50))
def test_a_body_with_the_signed_hash_passes_piece_by_piece(body: bytes, size: int) -> None:
    client = GateClient()
    assert client.request(put_with_hash(sha256(body).hexdigest(), body), pieces(body, size)).status == 200
    assert client.behind.done == [("PUT", "/bucket/key", body)]


@given(st.binary(max_size=200), st.binary(max_size=200), st.integers(1, 50))
def test_a_body_that_differs_from_the_signed_one_is_refused(body: bytes, other: bytes, size: int) -> None:
    client = GateClient()
    response = client.request(put_with_hash(sha256(body).hexdigest(), body), pieces(other, size))
    assert (response.status == 200) == (body == other)
    assert (client.behind.done == []) == (body != other)


def test_a_long_body_is_hashed_in_order() -> None:
    body = b"".join(number.to_bytes(4, "big") for number in range(2_000_000))
    client = GateClient()
    assert client.request(put_with_hash(sha256(body).hexdigest(), body), pieces(body, 65_536)).status == 200
    assert client.request(put_with_hash(sha256(body).hexdigest(), body), pieces(body, 65_536)[::-1]).status == 400


def test_no_more_is_received_while_much_waits_for_the_hash() -> None:
    """A client that sends faster than the hash is computed must not fill the memory."""
    busy, fed = threading.Event(), list[int]()
    piece = b"x" * 1024 * 1024
    check = Hashed(sha256(piece * 40).hexdigest())

    async def feed() -> None:
        for number in range(40):
            await check.feed(piece)
            fed.append(number)

    async def fed_while_busy() -> int:
        for _ in range(2):
            bodies._HASHERS.submit(busy.wait)
        feeding = asyncio.create_task(feed())
        for _ in range(200):
            await asyncio.sleep(0)
        so_far = len(fed)
        busy.set()
        await feeding
        await check.end()
        return so_far

    assert asyncio.run(fed_while_busy()) < 20
    assert len(fed) == 40


@pytest.mark.parametrize("payload", [signatures.UNSIGNED, sha256(b"x").hexdigest()])
def test_a_body_of_more_than_one_gigabyte_is_refused_before_it_is_passed_on(payload: str) -> None:
    client = GateClient()
    asgi_scope = put_with_hash(payload, b"")
    asgi_scope["headers"] = [pair for pair in asgi_scope["headers"] if pair[0] != b"content-length"]
    asgi_scope["headers"].append((b"content-length", str(LARGEST + 1).encode()))
    response = client.request(asgi_scope, [b"x"])
    assert (response.status, client.behind.begun) == (400, 0)
    assert b"EntityTooLarge" in response.body
    assert b"1073741824 bytes. Send a larger file in parts" in response.body


def test_a_body_of_chunks_with_more_than_one_gigabyte_is_refused() -> None:
    streamed, length = "STREAMING-UNSIGNED-PAYLOAD-TRAILER", str(LARGEST + 1)
    client = GateClient()
    response = client.request(put_with_hash(streamed, b"", x_amz_decoded_content_length=length), [b"x"])
    assert (response.status, client.behind.begun) == (400, 0)
    assert b"EntityTooLarge" in response.body


class Dropping(Behind):
    """Reads the body of a request piece by piece, and keeps nothing of it."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        message = await receive()
        while message.get("more_body", False):
            message = await receive()
        if message["type"] == "http.request":
            self.done.append((scope["method"], scope["path"], b""))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(("pieces_sent", "status"), [(16, 200), (17, 400)])
def test_a_link_accepts_one_gigabyte_even_if_no_header_gives_the_length(pieces_sent: int, status: int) -> None:
    request = AWSRequest("PUT", f"http://{HOST}/bucket/key")
    S3SigV4QueryAuth(Credentials(KEYS.access_key, KEYS.secret_key), "s3", "us-east-1").add_auth(request)
    asgi_scope = scope_of_signed(request)
    asgi_scope["headers"].append((b"transfer-encoding", b"chunked"))
    client = GateClient(Dropping())
    assert client.request(asgi_scope, [b"x" * (LARGEST // 16)] * pieces_sent).status == status
    assert len(client.behind.done) == (status == 200)


def test_an_unsigned_payload_passes() -> None:
    assert GateClient().request(put_with_hash(signatures.UNSIGNED, b"x"), [b"anything"]).status == 200


@pytest.mark.parametrize(
    "payload", ["", "x", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", sha256(b"x").hexdigest().upper()]
)
def test_a_malformed_hash_is_refused(payload: str) -> None:
    client = GateClient()
    assert client.request(put_with_hash(payload, b"x"), [b"x"]).status in (400, 403)
    assert client.behind.done == []


def test_without_a_hash_in_a_header_the_body_is_held_until_it_is_verified() -> None:
    """The hash of the body is only known at its end. Until then the application behind the gate gets no part of the
    body, because it might act on a part."""
    request = AWSRequest("POST", f"http://{HOST}/", {"X-Amz-Target": "AmazonSQS.SendMessage"}, b'{"a": 1}')
    SigV4Auth(Credentials(KEYS.access_key, KEYS.secret_key), "sqs", "us-east-1").add_auth(request)
    asgi_scope = scope_of_signed(request, 8)
    client = GateClient()
    assert client.request(asgi_scope, [b'{"a":', b" 2}"]).status == 403
    assert client.behind.begun == 0
    assert client.request(asgi_scope, [b'{"a":', b" 1}"]).status == 200
    assert client.behind.done == [("POST", "/", b'{"a": 1}')]


def test_an_upload_signed_by_an_old_curl_passes() -> None:
    """curl before version 8 signs an upload like a request without a body, and does not send x-amz-content-sha256."""
    request = AWSRequest("PUT", f"http://{HOST}/bucket/key")
    SigV4Auth(Credentials(KEYS.access_key, KEYS.secret_key), "s3", "us-east-1").add_auth(request)
    assert GateClient().request(scope_of_signed(request, 4), [b"body"]).status == 200


@pytest.mark.parametrize("payload", [signatures.UNSIGNED, sha256(b"x").hexdigest()])
def test_an_upload_to_s3_without_a_length_is_refused(payload: str) -> None:
    asgi_scope = put_with_hash(payload, b"")
    asgi_scope["headers"].append((b"transfer-encoding", b"chunked"))
    response = GateClient().request(asgi_scope, [b"x"])
    assert response.status == 501
    assert b"-T file" in response.body


# --- chunks

EXAMPLE = Signature(
    "AKIAIOSFODNN7EXAMPLE",
    "us-east-1",
    "s3",
    "20130524T000000Z",
    (),
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    "",
)
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SIGNED = [  # (length, signature) of each chunk in https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
]


def sign(kind: str, previous: str, *hashes: str) -> str:
    scope = signatures.scope_of(EXAMPLE, SECRET)
    lines = (f"AWS4-HMAC-SHA256-{kind}", EXAMPLE.stamp, scope, previous, *hashes)
    return signatures.sign(EXAMPLE, SECRET, "\n".join(lines))


def example(letter: bytes = b"a") -> bytes:
    return b"".join(b"%x;chunk-signature=%s\r\n%s\r\n" % (n, s.encode(), letter * n) for n, s in SIGNED)


def accepted(check: Chunks, body: bytes, size: int = 4096) -> bool:
    async def check_all() -> None:
        for piece in pieces(body, size):
            await check.feed(piece)
        await check.end()

    try:
        asyncio.run(check_all())
    except Refused:
        return False
    return True


@pytest.mark.parametrize("size", [1, 7, 4096, 100_000])
def test_the_example_in_amazons_documentation_is_accepted(size: int) -> None:
    assert accepted(Chunks(66560, sign, EXAMPLE.signature, trailer=False), example(), size)


@pytest.mark.parametrize(
    "body",
    [
        example(b"b"),
        example()[:-1],
        example() + b"x",
        example().replace(b"chunk-signature=ad", b"chunk-signature=ae"),
        example().partition(b"400;")[0] + b"0;chunk-signature=" + SIGNED[2][1].encode() + b"\r\n\r\n",
        example().replace(b";chunk-signature=" + SIGNED[0][1].encode(), b""),
        example().replace(b"0;chunk-signature=b6", b"0;chunk-signature=b6", 1)[:-2] + b"x-amz-acl:public-read\r\n\r\n",
        b"",
    ],
)
def test_every_change_of_the_example_is_refused(body: bytes) -> None:
    assert not accepted(Chunks(66560, sign, EXAMPLE.signature, trailer=False), body)


@pytest.mark.parametrize("length", [66559, 66561, 0])
def test_chunks_must_have_the_announced_length_in_total(length: int) -> None:
    assert not accepted(Chunks(length, sign, EXAMPLE.signature, trailer=False), example())


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=4), st.integers(1, 20))
def test_unsigned_chunks_may_be_followed_by_a_checksum(parts: list[bytes], size: int) -> None:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])[:-2]
    body += b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    length = sum(map(len, parts))
    assert accepted(Chunks(length, None, "", trailer=True), body, size)
    assert not accepted(Chunks(length + 1, None, "", trailer=True), body, size)
    assert not accepted(Chunks(length, None, "", trailer=True), body[:-1], size)


@pytest.mark.parametrize("line", [b"x" * 2000, b"-1\r\n", b"0x1\r\n", b"1 \r\n", b"1;a=b\r\n", b"5\n", b"\r\n"])
def test_a_chunk_with_a_malformed_length_is_refused(line: bytes) -> None:
    assert not accepted(Chunks(5, None, "", trailer=True), line + b"aaaaa\r\n0\r\n\r\n")


def with_trailer(checksum: bytes, signature: str) -> bytes:
    body = b"".join(b"%x;chunk-signature=%s\r\n%s\r\n" % (n, s.encode(), b"a" * n) for n, s in SIGNED)[:-2]
    return body + checksum + b"\r\nx-amz-trailer-signature:" + signature.encode() + b"\r\n\r\n"


def test_the_checksum_after_signed_chunks_must_be_signed() -> None:
    checksum = b"x-amz-checksum-crc32c:wdBDMA=="
    signature = sign("TRAILER", SIGNED[2][1], sha256(checksum + b"\n").hexdigest())
    assert accepted(Chunks(66560, sign, EXAMPLE.signature, trailer=True), with_trailer(checksum, signature))
    for body in (
        with_trailer(checksum + b"x", signature),
        with_trailer(checksum, signature[:-1] + "x"),
        example(),  # the trailer has a checksum, but not its signature
        with_trailer(checksum, signature)[:-2] + b"x-amz-acl:public-read\r\n\r\n",
    ):
        assert not accepted(Chunks(66560, sign, EXAMPLE.signature, trailer=True), body)


def test_the_gate_accepts_chunks() -> None:
    body = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n"
    asgi_scope = put_with_hash(
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER", body, X_Amz_Decoded_Content_Length="3", X_Amz_Trailer="x"
    )
    client = GateClient()
    assert client.request(asgi_scope, pieces(body, 5)).status == 200
    assert client.behind.done == [("PUT", "/bucket/key", body)]
    assert client.request(asgi_scope, [body.replace(b"3", b"2", 1)]).status == 400
    assert len(client.behind.done) == 1
    assert client.request(put_with_hash("STREAMING-UNSIGNED-PAYLOAD-TRAILER", body), [body]).status == 411
    endless = put_with_hash("STREAMING-UNSIGNED-PAYLOAD-TRAILER", body, X_Amz_Decoded_Content_Length="3" * 5000)
    assert client.request(endless, [body]).status == 411


# --- slow senders


def slow(patience: float, gaps: list[float], size: int, check: float = 0) -> Checked:
    """Return a body that arrives in pieces of `size` bytes. `gaps` are the seconds before each piece. `patience` is the
    longest gap that the gate accepts, in seconds."""
    left = list(gaps)

    async def receive() -> Message:
        await asyncio.sleep(left.pop(0))
        return {"type": "http.request", "body": b"x" * size, "more_body": bool(left)}

    return Checked(receive, Unchecked(), patience)


async def read(body: Checked) -> int:
    got = 0
    while not body.ended:
        got += len((await body()).get("body", b""))
    return got


def test_a_sender_that_sends_nothing_is_cut_off() -> None:
    body = slow(0.05, [0, 30], 10_000)
    asyncio.run(read(body))
    assert body.refusal is not None
    assert body.refusal.status == 408
    assert asyncio.run(body())["type"] == "http.disconnect", "the body stays disconnected"


def test_a_sender_that_is_too_slow_is_cut_off() -> None:
    body = slow(0.05, [0.01] * 100, 1)
    asyncio.run(read(body))
    assert body.refusal is not None


def test_a_long_upload_over_a_slow_connection_is_not_cut_off() -> None:
    body = slow(0.05, [0.01] * 40, bodies.PROGRESS)
    assert asyncio.run(read(body)) == 40 * bodies.PROGRESS
    assert body.refusal is None
