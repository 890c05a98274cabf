"""The three buckets, in an S3 inside the test process, and an ear at its door."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from chalicelib.cloud.storage import Storage
from infra.sessions import session

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKETS = LANDING, ERRORED, BACKUP = ("test-landing", "test-errored", "test-backup")
Hook = Callable[[str, str], None]


class S3:
    """`storage` over one client; `calls` are its requests so far, as (operation, key).

    `before` is called ahead of every request: what it raises is what the request meets.
    """

    def __init__(self, client: "S3Client") -> None:
        self.client = client
        self.storage = Storage(*BUCKETS, client=lambda: client)
        self.calls: list[tuple[str, str]] = []
        self.before: Hook | None = None
        client.meta.events.register("before-parameter-build.s3", self._heard)

    def _heard(self, model: Any, params: dict[str, Any], **_: Any) -> None:
        key = params.get("Key", "")
        self.calls.append((model.name, key))
        if self.before is not None:
            self.before(model.name, key)

    def written(self) -> list[str]:
        """Keys of the requests that store something."""
        writes = ("PutObject", "CopyObject", "UploadPart", "CreateMultipartUpload", "CompleteMultipartUpload")
        return [key for operation, key in self.calls if operation in writes]

    def keys(self, bucket: str = BACKUP) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=bucket).get("Contents", ())]

    def uploads(self, bucket: str = BACKUP) -> list[Any]:
        """Multipart uploads that were begun and neither completed nor aborted."""
        return list(self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()))


@cache
def _session() -> boto3.session.Session:
    """One for all tests: it takes longer to make than a client, and they all have the same credentials."""
    return session()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)  # it would lead past the one in this process
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        boto3.DEFAULT_SESSION = _session()  # which moto forgets afterwards
        client = boto3.client("s3", region_name="us-east-1")
        for bucket in BUCKETS:
            client.create_bucket(Bucket=bucket)
        yield S3(client)


@pytest.fixture
def storage(s3: S3) -> Storage:
    return s3.storage
