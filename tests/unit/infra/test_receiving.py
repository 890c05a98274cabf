"""Tests how the bodies of large requests to S3 get to the disk."""

import asyncio
from base64 import b64encode
from hashlib import md5
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from infra.local.gate.bodies import Disconnected, Message, Receive
from infra.local.gate.refusal import Refused
from infra.local.objects.framing import AwsChunked, FormFile, Incomplete, SentForm
from infra.local.objects.receiving import HELD, Receiving, ToDisk
from tests.asgi import HOST, KEYS, scope, scope_of_signed

FORM = {"content-type": "multipart/form-data; boundary=xYz"}
CHUNKED = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "content-encoding": "gzip, aws-chunked"}


def received(pieces: list[bytes], method: str, headers: dict[str, str], *, cut: bool = False) -> Any:
    """Receive a body in these pieces. With `cut`, the client disconnects before the last piece."""
    left: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    left.append({"type": "http.disconnect"} if cut else {"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return left.pop(0)

    with TemporaryDirectory() as folder:
        body = asyncio.run(Receiving(receive, Path(folder)).body(method, headers))
        content = body.file if isinstance(body, SentForm) else body
        found = bytes(content)
        assert content.md5.digest() == md5(found).digest()
        return (body.head, found, body.end) if isinstance(body, SentForm) else found


def cut_up(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


@given(st.binary(max_size=300), st.integers(1, 50))
def test_a_plain_body_is_stored_unchanged(body: bytes, size: int) -> None:
    assert received(cut_up(body, size), "PUT", {"content-length": str(len(body))}) == body


def test_a_body_of_many_pieces_is_stored_in_order() -> None:
    body = b"".join(number.to_bytes(4, "big") for number in range(1_000_000))
    assert received(cut_up(body, 100_000), "PUT", {}) == body


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=6), st.integers(1, 40))
def test_the_chunks_of_a_body_are_joined(chunks: list[bytes], size: int) -> None:
    whole = b"".join(chunks)
    framed = b"".join(b"%x;chunk-signature=0\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    framed += b"0\r\nX-Amz-Checksum-Crc32: abc=\r\n\r\n"
    headers = {**CHUNKED, "x-amz-trailer": "x-amz-checksum-crc32", "x-amz-decoded-content-length": str(len(whole))}
    assert received(cut_up(framed, size), "PUT", headers) == whole
    assert headers["x-amz-checksum-crc32"] == "abc="
    assert headers["content-encoding"] == "gzip", "only the name of the chunks is removed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"3\r\nabc",
        b"3\r\nabc\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\r\n",
        b"x\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\r\nno colon\r\n\r\n",
        b"3\r\nabc\r\n0\r\na: b\r\n\r\nmore",
        b"1" * 200_000,
    ],
)
def test_malformed_chunks_are_refused(body: bytes) -> None:
    for size in (1000, 1) if len(body) < 1000 else (1000,):
        with pytest.raises(Incomplete):
            received(cut_up(body, size), "PUT", dict(CHUNKED))


@pytest.mark.parametrize("more", [{"x-amz-decoded-content-length": "4"}, {"x-amz-trailer": "x-amz-checksum-crc32"}])
def test_chunks_that_differ_from_what_the_headers_announce_are_refused(more: dict[str, str]) -> None:
    with pytest.raises(Incomplete):
        received([b"3\r\nabc\r\n0\r\n\r\n"], "PUT", {**CHUNKED, **more})


def part(name: str, value: bytes) -> bytes:
    return b'--xYz\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), value)


@given(
    st.lists(st.sampled_from([b"\r\n", b"--xY", b"--", b"z", b"\r", b"a", b"\n--xYa"]), max_size=8), st.integers(1, 90)
)
def test_the_file_of_a_form_is_stored_alone(content: list[bytes], size: int) -> None:
    file = b"".join(content)
    fields = part("key", b"a\r\n\r\nContent-Disposition: form-data; name=file\r\n\r\nb") + part("policy", b"p")
    body = fields + part("file", file) + b"--xYz--\r\nignored"
    head, found, end = received(cut_up(body, size), "POST", dict(FORM))
    assert found == file.partition(b"\r\n--xYz")[0]
    assert head + end == fields + part("file", b"") + b"--xYz--\r\n"


@pytest.mark.parametrize("body", [b"", part("key", b"k"), part("key", b"k") + part("file", b"no end")])
def test_a_form_without_a_file_or_an_end_is_refused(body: bytes) -> None:
    with pytest.raises(Incomplete):
        received([body], "POST", dict(FORM))
    with pytest.raises(Incomplete):
        FormFile("multipart/form-data")


def test_an_incomplete_body_is_refused() -> None:
    with pytest.raises(Incomplete):
        received([b"abc"], "PUT", {"content-length": "4"})
    with pytest.raises(Disconnected):
        received([b"abc"], "PUT", {}, cut=True)
    assert AwsChunked().feed(b"3\r\nab") == b"ab"


def wrapped(asgi_scope: Message, folder: Path, free: int = 10**12) -> bool:
    """Return whether the application behind ToDisk can receive the body of this request to the disk, of which `free`
    bytes are free."""
    seen: list[Receive] = []

    async def inner(_: Message, receive: Receive, __: Any) -> None:
        seen.append(receive)

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    asyncio.run(ToDisk(inner, folder, lambda _: free)(asgi_scope, nothing, nothing))
    return isinstance(seen[0], Receiving)


def signed(method: str, target: str, length: int, service: str = "s3") -> Message:
    request = AWSRequest(method, f"http://{HOST}{target}")
    S3SigV4Auth(Credentials(KEYS.access_key, KEYS.secret_key), service, "us-east-1").add_auth(request)
    return scope_of_signed(request, length)


@pytest.mark.parametrize(
    ("method", "target", "service", "length", "to_disk"),
    [
        ("PUT", "/bucket/a/key", "s3", HELD + 1, True),
        ("PUT", "/bucket/key?partNumber=1&uploadId=x", "s3", HELD + 1, True),
        ("PUT", "/bucket//", "s3", HELD + 1, True),
        ("PUT", "/bucket/key", "s3", HELD, False),
        ("PUT", "/bucket/key?tagging=", "s3", HELD + 1, False),
        ("PUT", "/bucket/?policy=", "s3", HELD + 1, False),
        ("POST", "/bucket/?delete=", "s3", HELD + 1, False),
        ("POST", "/bucket/key?uploadId=x", "s3", HELD + 1, False),
        ("PUT", "/2015-03-31/functions/f/code", "lambda", HELD + 1, False),
    ],
)
def test_only_large_objects_go_to_the_disk(
    method: str, target: str, service: str, length: int, to_disk: bool, tmp_path: Path
) -> None:
    assert wrapped(signed(method, target, length, service), tmp_path) == to_disk


def test_large_forms_go_to_the_disk_but_calls_of_the_api_do_not(tmp_path: Path) -> None:
    headers = [("Content-Type", FORM["content-type"])]
    assert wrapped(scope("POST", "/bucket", headers, length=HELD + 1), tmp_path)
    assert not wrapped(scope("POST", "/_aws/execute-api/a/api/uploads", headers, length=HELD + 1), tmp_path)


@pytest.mark.parametrize(("length", "free"), [(10**18, 10**12), (HELD + 1, 60_000_000), (11, 0), (0, 0)])
def test_a_body_for_which_the_disk_has_no_room_is_refused_before_it_is_received(
    length: int, free: int, tmp_path: Path
) -> None:
    with pytest.raises(Refused) as refused:
        wrapped(signed("PUT", "/bucket/key", length), tmp_path, free)
    assert (refused.value.status, refused.value.code) == (507, "InsufficientStorage")
    assert "free some space" in refused.value.message


@pytest.mark.parametrize("method", ["DELETE", "GET"])
def test_on_a_full_disk_objects_can_be_deleted_and_read(method: str, tmp_path: Path) -> None:
    assert not wrapped(signed(method, "/bucket/key", 0), tmp_path, 0)
    assert not wrapped(scope("POST", "/_aws/execute-api/a/api/job/upload", [], length=10), tmp_path, 0)


def test_the_checksums_of_the_headers_are_known_when_the_body_has_come(tmp_path: Path) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"123456789", "more_body": False}

    body: Any = asyncio.run(Receiving(receive, tmp_path).body("PUT", {"x-amz-sdk-checksum-algorithm": "CRC32C"}))
    for path in tmp_path.iterdir():
        path.write_bytes(b"")  # the checksum is not computed again from the file
    assert b64encode(body.checksum("CRC32C")) == b64encode(bytes.fromhex("e3069283"))
