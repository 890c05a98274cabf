"""Gives tests the three buckets, in an S3 that moto simulates inside the test process. The requests to this S3 are
recorded."""

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
    """The simulated S3. `storage` is the product's Storage, and `client` is the client that it uses.

    `calls` has the requests that the client has sent so far, as (operation, key). A test may set `before`, a function
    that is called before every request. If `before` raises an exception, the request fails with this exception.
    """

    def __init__(self, client: "S3Client") -> None:
        self.client = client
        self.storage = Storage(*BUCKETS, client=lambda: client)
        self.calls: list[tuple[str, str]] = []
        self.before: Hook | None = None
        client.meta.events.register("before-parameter-build.s3", self._record)

    def _record(self, model: Any, params: dict[str, Any], **_: Any) -> None:
        key = params.get("Key", "")
        self.calls.append((model.name, key))
        if self.before is not None:
            self.before(model.name, key)

    def written(self) -> list[str]:
        """Return the keys of all requests so far that store data."""
        writes = ("PutObject", "CopyObject", "UploadPart", "CreateMultipartUpload", "CompleteMultipartUpload")
        return [key for operation, key in self.calls if operation in writes]

    def keys(self, bucket: str = BACKUP) -> list[str]:
        return [listed["Key"] for listed in self.client.list_objects_v2(Bucket=bucket).get("Contents", ())]

    def uploads(self, bucket: str = BACKUP) -> list[Any]:
        """Return the multipart uploads that were neither completed nor aborted."""
        return list(self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()))


@cache
def _session() -> boto3.session.Session:
    """Return the same session for all tests, because creating a session takes long. All tests have the same
    credentials."""
    return session()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)  # the variable would send requests to another S3
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        boto3.DEFAULT_SESSION = _session()  # moto resets DEFAULT_SESSION after the test
        client = boto3.client("s3", region_name="us-east-1")
        for bucket in BUCKETS:
            client.create_bucket(Bucket=bucket)
        yield S3(client)


@pytest.fixture
def storage(s3: S3) -> Storage:
    return s3.storage
