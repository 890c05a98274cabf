"""Reads S3 objects as streams, and writes them in parts. Converts the errors of botocore to those of `core.errors`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from chalicelib.core.errors import NotFound, StorageUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_SIZE = 5 * 1024 * 1024  # bytes; S3 requires at least 5 MiB for every part of a multipart upload except the last
SMALL = 1024 * 1024  # bytes of the largest object that is kept in memory
_MISSING = ("NoSuchKey", "NoSuchVersion", "404")


@contextmanager
def s3_errors(what: str) -> Iterator[None]:
    """Convert an exception of botocore to NotFound if the object does not exist, and otherwise to StorageUnavailable.
    `what` is the URL of the object, for the message."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _MISSING:
            raise NotFound(f"{what} does not exist") from error
        raise StorageUnavailable(f"{what} cannot be reached") from error
    except (BotoCoreError, HTTPError, OSError) as error:
        raise StorageUnavailable(f"{what} cannot be reached") from error


class ObjectStream:
    """The body of an object as a forward-only file of `size` bytes. `etag` and `metadata` are those of the whole
    object, even if the stream begins in the middle."""

    def __init__(
        self, body: Any, what: str, size: int = 0, etag: str = "", metadata: Mapping[str, str] | None = None
    ) -> None:
        self.size, self.etag, self.metadata = size, etag, dict(metadata or {})
        self._body, self._what = body, what

    def read(self, size: int = -1, /) -> bytes:
        with s3_errors(self._what):
            return bytes(self._body.read(size if size >= 0 else None))

    def close(self) -> None:
        self._body.close()

    def repeated(self, body: bytes) -> "ObjectStream":
        """Return a stream of the same object that reads its bytes from memory."""
        return ObjectStream(BytesIO(body), self._what, self.size, self.etag, self.metadata)


@dataclass
class SmallObject:
    """Keeps an object of at most `most` bytes in memory, so that it can be read again without a request."""

    most: int = SMALL
    _first: ObjectStream | None = None
    _body: bytes = b""

    def kept(self, stream: ObjectStream) -> ObjectStream:
        """Read an object that is small enough to its end, and return a stream of the same bytes. Return the stream of
        any other object unread."""
        if self._first is None and stream.size <= self.most:
            self._body, self._first = stream.read(), stream
            stream.close()
        return self.again() or stream

    @property
    def is_kept(self) -> bool:
        """Whether the object is in memory."""
        return self._first is not None

    def again(self) -> ObjectStream | None:
        """Return another stream of the object, or None if the object is not in memory."""
        return None if self._first is None else self._first.repeated(self._body)


class Writer:
    """Writes a new object. The object exists only after `complete` has returned.

    At most one part (5 MiB) is kept in memory. A smaller object is sent as one PUT. `abort` removes all parts that were
    sent. After `complete`, `etag` is the object's ETag.
    """

    def __init__(
        self, bucket: str, key: str, content_type: str, client: "Callable[[], S3Client]", metadata: Mapping[str, str]
    ) -> None:
        self.key = key
        self.size = 0
        self.etag = ""
        self._at: dict[str, Any] = {"Bucket": bucket, "Key": key}
        self._new: dict[str, Any] = {**self._at, "ContentType": content_type, "Metadata": dict(metadata)}
        self._client = client
        self._what = f"s3://{bucket}/{key}"
        self._pending = bytearray()
        self._upload: str | None = None
        self._etags: list[str] = []

    def write(self, data: bytes) -> int:
        self._pending += data
        self.size += len(data)
        if len(self._pending) >= PART_SIZE:
            self._send_pending()
        return len(data)

    def flush(self) -> None:
        """Do nothing: a part is sent when it is full."""

    def complete(self) -> None:
        with s3_errors(self._what):
            if self._upload is None:
                body = bytes(self._pending)
                stored = self._client().put_object(**self._new, Body=body)
                self.etag = stored["ETag"]
                return
            if self._pending:
                self._send_pending()
            parts: list[Any] = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(self._etags, 1)]
            completed = self._client().complete_multipart_upload(
                **self._at, UploadId=self._upload, MultipartUpload={"Parts": parts}
            )
            self.etag = completed["ETag"]

    def abort(self) -> None:
        if self._upload is not None:
            with s3_errors(self._what):
                self._client().abort_multipart_upload(**self._at, UploadId=self._upload)
            self._upload = None

    def _send_pending(self) -> None:
        part: Any = self._pending  # a bytearray, which the type stubs do not accept; bytes would be a copy
        self._pending = bytearray()
        with s3_errors(self._what):
            if self._upload is None:
                created = self._client().create_multipart_upload(**self._new)
                self._upload = created["UploadId"]
            sent = self._client().upload_part(
                **self._at, UploadId=self._upload, PartNumber=len(self._etags) + 1, Body=part
            )
            self._etags.append(sent["ETag"])
