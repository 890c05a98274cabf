"""Tests that the embedded AWS keeps the bodies of objects on disk, and that all operations of S3 still work."""

import io
import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from hashlib import md5, sha256
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from bench.gate import ungated
from infra.local import ports
from infra.local.aws import EmbeddedAws
from infra.local.objects.receiving import HELD
from tests.integration import embedded
from tests.integration.embedded import eventually

MB = 1024 * 1024
PARTS = TransferConfig(multipart_threshold=5 * MB, multipart_chunksize=5 * MB, use_threads=False)
SIZES = [0, 1, HELD, HELD + 1, 3 * MB + 7]


def body_of(size: int) -> bytes:
    return os.urandom(size)


@pytest.fixture
def s3(aws: EmbeddedAws) -> Any:
    return client_of(aws)


def client_of(aws: EmbeddedAws) -> Any:
    return embedded.of(aws)("s3")


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    """Create a bucket with versions for this test."""
    name = "b" + sha256(request.node.nodeid.encode()).hexdigest()[:20]
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def read(s3: Any, bucket: str, key: str, **more: Any) -> bytes:
    return bytes(s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read())


def put(s3: Any, bucket: str, key: str, body: bytes, **more: Any) -> str:
    return str(s3.put_object(Bucket=bucket, Key=key, Body=body, **more).get("VersionId", ""))


def send_form(s3: Any, bucket: str, key: str, body: bytes, most: int) -> tuple[int, bytes]:
    """Send a form whose file may have `most` bytes. Return the status and the body of the response."""
    form = s3.generate_presigned_post(
        bucket, key, {"x-amz-meta-a": "b"}, [["content-length-range", 0, most], {"x-amz-meta-a": "b"}]
    )
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in form["fields"].items()]
    parts.append('Content-Disposition: form-data; name="file"; filename="x"\r\nContent-Type: text/csv\r\n\r\n')
    head = "".join(f"--xYz\r\n{part}\r\n" for part in parts)[:-2].encode()
    connection = HTTPConnection(ports.HOST, int(re.findall(r":(\d+)/", form["url"])[0]), timeout=60)
    kind = {"Content-Type": "multipart/form-data; boundary=xYz"}
    connection.request("POST", f"/{bucket}", head + body + b"\r\n--xYz--\r\n", kind)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


# --- each way of writing and reading


@pytest.mark.parametrize("size", SIZES)
def test_an_object_of_any_size_is_read_as_it_was_written(s3: Any, bucket: str, size: int) -> None:
    body = body_of(size)
    written = s3.put_object(
        Bucket=bucket, Key="k", Body=body, ContentMD5=b64encode(md5(body).digest()).decode(), Metadata={"a": "b"}
    )
    found = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert found["Body"].read() == body
    assert (found["ETag"], found["ContentLength"]) == (f'"{md5(body).hexdigest()}"', size)
    assert found["ETag"] == written["ETag"]
    assert (found["VersionId"], found["Metadata"]) == (written["VersionId"], {"a": "b"})
    assert found["ChecksumCRC32"] == b64encode(crc32(body).to_bytes(4, "big")).decode()
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["ETag"]) == (size, found["ETag"])
    if size:
        for first, last in ((0, 0), (size // 2, size - 1), (size - 1, size + 50)):
            part = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
            assert part["Body"].read() == body[first : last + 1]
            assert part["ContentRange"] == f"bytes {first}-{min(last, size - 1)}/{size}"
        assert read(s3, bucket, "k", Range="bytes=-3") == body[-3:]
    with pytest.raises(ClientError, match="InvalidRange"):
        s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={size}-")


@pytest.mark.parametrize("size", [10, 3 * MB])
def test_a_body_that_differs_from_its_checksum_changes_nothing(s3: Any, bucket: str, size: int) -> None:
    put(s3, bucket, "k", b"before")
    wrong = b64encode(bytes(16)).decode()
    for more in (
        {"ContentMD5": wrong},
        {"ChecksumSHA256": b64encode(bytes(32)).decode()},
        {"ChecksumCRC32C": "AAAAAA=="},
    ):
        with pytest.raises(ClientError, match="BadDigest"):
            s3.put_object(Bucket=bucket, Key="k", Body=body_of(size), **more)
    assert read(s3, bucket, "k") == b"before"


@pytest.mark.parametrize("size", [10, 3 * MB])
def test_a_body_is_a_body_even_if_its_type_says_that_it_has_parameters(s3: Any, bucket: str, size: int) -> None:
    """curl sends this type if a user gives it --data-binary."""
    body = b"Action=ListQueues&x=" + body_of(size)
    put(s3, bucket, "k", body, ContentType="application/x-www-form-urlencoded")
    assert read(s3, bucket, "k") == body


@pytest.mark.parametrize("size", SIZES)
def test_a_form_writes_an_object_of_any_size(s3: Any, bucket: str, size: int) -> None:
    body = body_of(size)
    assert send_form(s3, bucket, "form", body, size)[0] == 204
    assert read(s3, bucket, "form") == body
    found = s3.head_object(Bucket=bucket, Key="form")
    assert (found["ETag"], found["Metadata"]) == (f'"{md5(body).hexdigest()}"', {"a": "b"})
    assert found["ContentType"] == "text/csv"
    status, answer = send_form(s3, bucket, "form", body + b"x", size)
    assert (status, b"EntityTooLarge" in answer) == (400, True)
    assert read(s3, bucket, "form") == body


@pytest.mark.parametrize("algorithm", [None, "CRC32", "SHA256"])
def test_parts_become_one_object(s3: Any, bucket: str, algorithm: str | None) -> None:
    body = body_of(11 * MB)
    more = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    s3.upload_fileobj(io.BytesIO(body), bucket, "parts", ExtraArgs=more, Config=PARTS)
    found = s3.get_object(Bucket=bucket, Key="parts", ChecksumMode="ENABLED")
    digests = b"".join(md5(body[at : at + 5 * MB]).digest() for at in range(0, len(body), 5 * MB))
    assert found["ETag"] == f'"{md5(digests).hexdigest()}-3"'
    assert found["Body"].read() == body
    assert found["ContentLength"] == len(body)
    if algorithm == "SHA256":
        hashes = b"".join(sha256(body[at : at + 5 * MB]).digest() for at in range(0, len(body), 5 * MB))
        assert found["ChecksumSHA256"] == f"{b64encode(sha256(hashes).digest()).decode()}-3"
    third = s3.get_object(Bucket=bucket, Key="parts", PartNumber=3)
    assert (third["Body"].read(), third["PartsCount"]) == (body[10 * MB :], 3)


def test_a_part_may_be_replaced_and_copied_and_an_upload_may_be_aborted(aws: EmbeddedAws, s3: Any, bucket: str) -> None:
    source = body_of(6 * MB)
    version = put(s3, bucket, "source", source)
    put(s3, bucket, "source", b"newer")
    upload = {"Bucket": bucket, "Key": "k", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]}
    s3.upload_part(**upload, PartNumber=1, Body=body_of(5 * MB))
    of = {"Bucket": bucket, "Key": "source", "VersionId": version}
    first = s3.upload_part_copy(**upload, PartNumber=1, CopySource=of, CopySourceRange=f"bytes=5-{5 * MB + 4}")
    second = s3.upload_part(**upload, PartNumber=2, Body=b"end")
    assert [part["Size"] for part in s3.list_parts(**upload)["Parts"]] == [5 * MB, 3]
    s3.delete_object(Bucket=bucket, Key="source", VersionId=version)
    tags = [{"PartNumber": 1, "ETag": first["CopyPartResult"]["ETag"]}, {"PartNumber": 2, "ETag": second["ETag"]}]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": tags})
    assert read(s3, bucket, "k") == source[5 : 5 * MB + 5] + b"end"
    aborted = {**upload, "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]}
    s3.upload_part(**aborted, PartNumber=1, Body=body_of(5 * MB))
    assert list((aws.home / "tmp").glob("body-*"))
    s3.abort_multipart_upload(**aborted)
    assert eventually(lambda: not list((aws.home / "tmp").glob("body-*"))), "a received body was not deleted"


@pytest.mark.parametrize("size", [10, 3 * MB])
def test_copies_have_the_body_of_the_version_that_was_copied(s3: Any, bucket: str, size: int) -> None:
    old, new = body_of(size), body_of(size)
    version = put(s3, bucket, "k", old)
    put(s3, bucket, "k", new)
    s3.copy_object(Bucket=bucket, Key="new", CopySource={"Bucket": bucket, "Key": "k"})
    s3.copy_object(Bucket=bucket, Key="old", CopySource={"Bucket": bucket, "Key": "k", "VersionId": version})
    s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k", "VersionId": version})
    assert (read(s3, bucket, "new"), read(s3, bucket, "old"), read(s3, bucket, "k")) == (new, old, old)
    hashed = s3.copy_object(
        Bucket=bucket, Key="hashed", CopySource={"Bucket": bucket, "Key": "k"}, ChecksumAlgorithm="SHA256"
    )
    assert hashed["CopyObjectResult"]["ETag"] == f'"{md5(old).hexdigest()}"'
    s3.delete_object(Bucket=bucket, Key="k")
    put(s3, bucket, "new", b"changed")
    assert read(s3, bucket, "old") == read(s3, bucket, "hashed") == old
    assert read(s3, bucket, "k", VersionId=version) == old


# --- versions


def write_history(s3: Any, bucket: str) -> Callable[[Any], None]:
    """Write, overwrite, delete and restore objects. Return a function that checks all versions with a client."""
    small, large, other, newest = (body_of(size) for size in (10, 3 * MB, 2 * MB, 100))
    s3.create_bucket(Bucket=bucket)
    for body in (other, large):
        put(s3, bucket, "null", body)  # only the second one survives, because the bucket does not keep versions yet
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put(s3, bucket, "null", small)
    versions = [put(s3, bucket, "dir/k", body) for body in (small, large, other, newest)]
    s3.delete_object(Bucket=bucket, Key="dir/k")
    for body in (large, other):
        put(s3, bucket, "promoted", body)
    s3.delete_object(Bucket=bucket, Key="promoted", VersionId=put(s3, bucket, "promoted", newest))
    s3.upload_fileobj(io.BytesIO(large * 2), bucket, "parts", Config=PARTS)
    marked = put(s3, bucket, "unmarked", large)
    marker = s3.delete_object(Bucket=bucket, Key="unmarked")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="unmarked", VersionId=marker)

    def check(now: Any) -> None:
        assert [read(now, bucket, "dir/k", VersionId=version) for version in versions] == [small, large, other, newest]
        with pytest.raises(ClientError, match="NoSuchKey"):
            now.get_object(Bucket=bucket, Key="dir/k")
        assert (read(now, bucket, "null"), read(now, bucket, "null", VersionId="null")) == (small, large)
        assert read(now, bucket, "promoted") == other
        assert read(now, bucket, "parts") == large * 2
        assert read(now, bucket, "unmarked") == read(now, bucket, "unmarked", VersionId=marked) == large
        listed = now.list_object_versions(Bucket=bucket)
        assert [one["Size"] for one in listed["Versions"] if one["Key"] == "dir/k"] == [100, 2 * MB, 3 * MB, 10]
        assert [one["Key"] for one in listed["DeleteMarkers"]] == ["dir/k"]

    return check


@pytest.mark.parametrize("end", [EmbeddedAws.stop, EmbeddedAws.kill])
def test_all_versions_survive_a_restart(end: Callable[[EmbeddedAws], None], tmp_path: Path) -> None:
    server = EmbeddedAws(tmp_path / "aws")
    server.start(ports.free_port())
    try:
        check = write_history(client_of(server), "kept")
        check(client_of(server))
        upload = client_of(server).create_multipart_upload(Bucket="kept", Key="unfinished")["UploadId"]
        client_of(server).upload_part(Bucket="kept", Key="unfinished", UploadId=upload, PartNumber=1, Body=b"x" * MB)
        end(server)
        server.start(ports.free_port())
        check(client_of(server))
        assert not list((server.home / "tmp").glob("body-*")), "a body from before the restart was not deleted"
    finally:
        server.stop()


def test_the_objects_of_an_earlier_release_are_kept(tmp_path: Path) -> None:
    """In the previous release, ministack itself wrote all files of objects."""
    first = EmbeddedAws(tmp_path / "keys")
    first.start(ports.free_port())
    first.stop()
    with ungated(tmp_path / "aws", first.home) as port:
        client = embedded.clients(port, first.credentials)("s3")
        check = write_history(client, "kept")
        check(client)
    server = EmbeddedAws(tmp_path / "aws")
    server.start(ports.free_port())
    try:
        now = client_of(server)
        check(now)
        put(now, "kept", "promoted", b"new")
        put(now, "kept", "dir/k", b"new")
        assert len(now.list_object_versions(Bucket="kept", Prefix="dir/k")["Versions"]) == 5
    finally:
        server.stop()


def test_a_suspended_bucket_keeps_one_null_version(s3: Any, bucket: str) -> None:
    old, null, last = (body_of(size) for size in (2 * MB, 3 * MB, 4 * MB))
    version = put(s3, bucket, "k", old)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    for body in (null, last):
        put(s3, bucket, "k", body)
        assert read(s3, bucket, "k") == read(s3, bucket, "k", VersionId="null") == body
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put(s3, bucket, "k", b"newest")
    assert (read(s3, bucket, "k", VersionId="null"), read(s3, bucket, "k", VersionId=version)) == (last, old)


# --- events


def test_events_have_the_size_and_the_version_of_the_object(aws: EmbeddedAws, s3: Any, bucket: str) -> None:
    sqs = embedded.of(aws)("sqs")
    queue = sqs.create_queue(QueueName=bucket)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    notify = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=notify)
    body = body_of(6 * MB)
    written = put(s3, bucket, "put", body)
    send_form(s3, bucket, "form", body, len(body))
    s3.upload_fileobj(io.BytesIO(body), bucket, "parts", Config=PARTS)
    found: dict[str, Any] = {}

    def all_came() -> bool:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            for record in json.loads(message["Body"]).get("Records", []):
                found[record["s3"]["object"]["key"]] = record["s3"]["object"]
        return len(found) == 3

    assert eventually(all_came), found
    assert {one["size"] for one in found.values()} == {6 * MB}
    assert (found["put"]["versionId"], found["put"]["eTag"]) == (written, md5(body).hexdigest())


# --- memory and disk


def memory(aws: EmbeddedAws, field: str) -> int:
    """Return VmRSS (the memory of the process now) or VmHWM (its largest memory so far), in MB."""
    status = Path(f"/proc/{json.loads((aws.home / 'aws.pid').read_text())['pid']}/status").read_text()
    return int(re.findall(rf"{field}:\s+(\d+) kB", status)[0]) // 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_bodies_need_no_memory(tmp_path: Path) -> None:
    """Each way of writing and reading moves 192 MB here. With bodies in memory, the memory would grow by
    1 GB."""
    server = EmbeddedAws(tmp_path / "aws")
    server.start(ports.free_port())
    try:
        s3, body, bucket = client_of(server), os.urandom(48 * MB) * 4, "large"
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        put(s3, bucket, "k", b"x")
        before = memory(server, "VmRSS")
        put(s3, bucket, "k", body)
        version = put(s3, bucket, "k", body)
        assert read(s3, bucket, "k") == read(s3, bucket, "k", VersionId=version) == body
        left = s3.get_object(Bucket=bucket, Key="k")["Body"]
        assert left.read(10) == body[:10]
        left.close()  # the client disconnects before it has the whole body
        assert send_form(s3, bucket, "form", body, len(body))[0] == 204
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
        s3.upload_fileobj(io.BytesIO(body), bucket, "parts", Config=TransferConfig(use_threads=False))
        assert memory(server, "VmHWM") - before < 100
        s3.delete_object(Bucket=bucket, Key="copy")
        for _ in range(200):
            put(s3, bucket, "small", body[:200_000])  # 40 MB
        assert memory(server, "VmRSS") - before < 60
    finally:
        server.stop()


def test_copies_and_versions_share_their_bytes_on_the_disk(aws: EmbeddedAws, s3: Any, bucket: str) -> None:
    put(s3, bucket, "k", body_of(8 * MB))
    for key in ("a", "b"):
        s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": "k"})
    s3.delete_object(Bucket=bucket, Key="k")
    used = subprocess.run(
        ["du", "-sk", *(aws.home / "s3").glob(f"*/{bucket}")], capture_output=True, text=True, check=True
    )
    assert int(used.stdout.split()[0]) < 9 * 1024


def test_a_failed_write_is_reported(aws: EmbeddedAws, s3: Any, bucket: str) -> None:
    """A folder in the place of a file stands for a disk that refuses the write."""
    put(s3, bucket, "k", b"before")
    next((aws.home / "s3").glob(f"*/{bucket}/k")).unlink()
    next((aws.home / "s3").glob(f"*/{bucket}")).joinpath("k").mkdir()
    next((aws.home / "s3").glob(f"*/{bucket}/k")).joinpath("x").write_bytes(b"")
    with pytest.raises(ClientError, match="500"):
        put(s3, bucket, "k", b"lost")
