"""Defines a class for an S3 bucket, with the operations that Hireflow needs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chalicelib.core.errors import NotFound, StorageUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
from chalicelib.cloud.object_streams import ObjectStream, Writer, s3_errors
from chalicelib.core.streams import skip

_MARKERS = 10  # a key rarely has more delete markers than this


@dataclass(frozen=True)
class Listed:
    """An object as S3 lists it."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Version:
    """An object version as S3 lists it. `version_id` is "null" in a bucket without versioning."""

    key: str
    version_id: str
    etag: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Position:
    """A position in the list of all object versions. The next page begins after the entry with this key and this
    version id, or after all entries of this key if `version_id` is empty. Both fields are empty at the beginning of the
    list."""

    key: str = ""
    version_id: str = ""


@dataclass(frozen=True)
class VersionPage:
    """One page of the list of all object versions, ordered by key. Within a key, the newest version comes first.

    `deleted` has the keys of this page whose newest version is a delete marker. `next` is None at the end of the list.
    """

    versions: tuple[Version, ...]
    deleted: frozenset[str] = frozenset()
    next: Position | None = None


@dataclass(frozen=True)
class Stored:
    """The size and ETag of an object, from a HEAD request."""

    size: int
    etag: str


@dataclass(frozen=True)
class Form:
    """An upload form. The client POSTs to `url` as multipart/form-data: first these fields, then the field `file`."""

    url: str
    fields: dict[str, str]


class Bucket:
    """One bucket. `client` returns the S3 client that sends the requests. `signer` returns the S3 client that signs
    forms and URLs for other programs. Without `signer`, `client` is used for both."""

    def __init__(
        self, name: str, client: "Callable[[], S3Client]", signer: "Callable[[], S3Client] | None" = None
    ) -> None:
        self.name = name
        self._client, self._signer = client, signer or client

    def url(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def open(self, key: str, version: str | None = None, *, start: int = 0, most: int | None = None) -> ObjectStream:
        """Start reading an object: at most `most` bytes, from byte `start`. Raises NotFound, StorageUnavailable."""
        what = self.url(key)
        at: dict[str, Any] = {"VersionId": version} if version else {}
        if start or most is not None:
            at["Range"] = f"bytes={start}-{'' if most is None else start + most - 1}"
        with s3_errors(what):
            try:
                response = self._client().get_object(Bucket=self.name, Key=key, **at)
            except self._client().exceptions.ClientError as error:
                if start and error.response.get("Error", {}).get("Code") == "InvalidRange":
                    return ObjectStream(BytesIO(), what)  # the object has no byte at `start` or after it
                raise
            stream = ObjectStream(
                response["Body"], what, response["ContentLength"], response["ETag"], response["Metadata"]
            )
        if start and "ContentRange" not in response:  # a server may ignore Range (RFC 9110, 14.2)
            skip(stream, start)
        return stream

    def get(self, key: str) -> bytes:
        """Return the whole content of a small object. Raises NotFound, StorageUnavailable."""
        return self.open(key).read()

    def put(self, key: str, body: bytes, content_type: str) -> None:
        with s3_errors(self.url(key)):
            self._client().put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type)

    def head(self, key: str) -> Stored:
        """Return the size and ETag of an object. Raises NotFound, StorageUnavailable."""
        with s3_errors(self.url(key)):
            response = self._client().head_object(Bucket=self.name, Key=key)
            return Stored(response["ContentLength"], response["ETag"])

    def exists(self, key: str) -> bool:
        """Return whether the object exists. Raises StorageUnavailable."""
        try:
            self.head(key)
        except NotFound:
            return False
        return True

    def delete(self, *keys: str) -> None:
        """Delete objects. A key without an object causes no error. Raises StorageUnavailable."""
        with s3_errors(f"s3://{self.name}"):
            for start in range(0, len(keys), 1000):
                batch: list[Any] = [{"Key": key} for key in keys[start : start + 1000]]
                response = self._client().delete_objects(Bucket=self.name, Delete={"Objects": batch, "Quiet": True})
                if response.get("Errors"):  # S3 lists failures in a response with status 200
                    raise StorageUnavailable(f"objects of s3://{self.name} could not be deleted")

    def folders(self, prefix: str, *, first: str = "", end: str = "") -> list[str]:
        """Return the names of the folders directly below `prefix`, in byte order. `prefix` is empty or ends in `/`.
        With `first`, the list begins with this name. With `end`, the list ends before this name."""
        names: list[str] = []
        with s3_errors(f"s3://{self.name}"):
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(
                Bucket=self.name, Prefix=prefix, Delimiter="/", StartAfter=first and prefix + first
            ):
                names += [p["Prefix"][len(prefix) : -1] for p in page.get("CommonPrefixes", ())]
                if end and names and names[-1] >= end:
                    break
        return [name for name in names if not end or name < end]

    def versions(self, key: str) -> list[str]:
        """Return the version ids of one key, newest first."""
        ids: list[str] = []
        with s3_errors(self.url(key)):
            pages = self._client().get_paginator("list_object_versions")
            for page in pages.paginate(Bucket=self.name, Prefix=key):
                ids += [v["VersionId"] for v in page.get("Versions", ()) if v["Key"] == key]
        return ids

    def version_page(self, after: Position) -> VersionPage:
        """Return the next page of the list of all object versions: 1000 entries, delete markers included.

        Raises StorageUnavailable.
        """
        given = {"KeyMarker": after.key, "VersionIdMarker": after.version_id}
        markers: dict[str, Any] = {name: value for name, value in given.items() if value}
        with s3_errors(f"s3://{self.name}"):
            page = self._client().list_object_versions(Bucket=self.name, **markers)
        listed = (
            Version(v["Key"], v["VersionId"], v["ETag"].strip('"'), v["Size"], v["LastModified"])
            for v in page.get("Versions", ())
        )
        deleted = frozenset(marker["Key"] for marker in page.get("DeleteMarkers", ()) if marker["IsLatest"])
        next_position = Position(page["NextKeyMarker"], page["NextVersionIdMarker"]) if page["IsTruncated"] else None
        return VersionPage(tuple(listed), deleted, next_position)

    def is_deleted(self, key: str) -> bool:
        """Return whether the newest version of `key` is a delete marker. Raises StorageUnavailable."""
        with s3_errors(self.url(key)):
            newest = self._client().list_object_versions(Bucket=self.name, Prefix=key, MaxKeys=1)
        return any(marker["Key"] == key for marker in newest.get("DeleteMarkers", ()))

    def has_versions(self, key: str) -> bool:
        """Return whether any version of `key` exists. A delete marker does not count as a version. The result is also
        True if the key has so many delete markers that versions may follow them. Raises StorageUnavailable."""
        with s3_errors(self.url(key)):
            # `key` comes first in the list of all keys that begin with it.
            page = self._client().list_object_versions(Bucket=self.name, Prefix=key, MaxKeys=_MARKERS)
        found = any(version["Key"] == key for version in page.get("Versions", ()))
        return found or bool(page["IsTruncated"] and page["NextKeyMarker"] == key)

    def objects(self, prefix: str, *, after: str = "") -> Iterator[Listed]:
        """Yield the objects whose key starts with `prefix` and sorts after `after`, in byte order."""
        with s3_errors(f"s3://{self.name}"):
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.name, Prefix=prefix, StartAfter=after):
                for item in page.get("Contents", ()):
                    yield Listed(item["Key"], item["Size"], item["LastModified"])

    def copy_from(
        self, source: "Bucket", source_key: str, key: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        """Copy an object inside S3 and give the copy new metadata. A large object is copied in parts.

        Raises NotFound, StorageUnavailable.
        """
        from boto3.s3.transfer import TransferConfig

        own = {"MetadataDirective": "REPLACE", "Metadata": dict(metadata), "ContentType": content_type}
        with s3_errors(source.url(source_key)):
            self._client().copy(
                {"Bucket": source.name, "Key": source_key},
                self.name,
                key,
                ExtraArgs=own,
                Config=TransferConfig(use_threads=False),
            )

    def presigned_post(
        self, key: str, *, size: int, seconds: int, metadata: Mapping[str, str] = MappingProxyType({})
    ) -> Form:
        """Return a form with which any client may upload an object of at most `size` bytes under `key`, with exactly
        this `metadata`.

        The form has the rights of the function that signs it. The form expires after `seconds`, or earlier if the
        function's credentials expire earlier. Raises StorageUnavailable.
        """
        fields = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
        # S3 also rejects a request with another key, an additional field, or another value of a field.
        conditions = [["content-length-range", 0, size], *({name: value} for name, value in fields.items())]
        with s3_errors(self.url(key)):
            form = self._signer().generate_presigned_post(
                self.name, key, Fields=dict(fields), Conditions=conditions, ExpiresIn=seconds
            )
        return Form(form["url"], form["fields"])

    def form_origin(self) -> str:
        """Return the origin to which forms are sent, for example https://bucket.s3.amazonaws.com. It is
        read from a form. Raises StorageUnavailable."""
        address = urlsplit(self.presigned_post("origin", size=0, seconds=1).url)
        return f"{address.scheme}://{address.netloc}"

    def presigned_get(self, key: str, *, seconds: int) -> str:
        """Return a URL with which any client may read the object. A browser saves the object as a file, and no cache
        may store the response.

        The URL has the rights of the function that signs it. The URL expires after `seconds`, or earlier if the
        function's credentials expire earlier. The object does not have to exist. Raises StorageUnavailable.
        """
        with s3_errors(self.url(key)):
            return self._signer().generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self.name,
                    "Key": key,
                    "ResponseCacheControl": "no-store",
                    "ResponseContentDisposition": "attachment",
                },
                ExpiresIn=seconds,
            )

    def reachable(self) -> bool:
        try:
            with s3_errors(f"s3://{self.name}"):
                self._client().head_bucket(Bucket=self.name)
        except (NotFound, StorageUnavailable):
            return False
        return True

    def writer(self, key: str, content_type: str, metadata: Mapping[str, str] = MappingProxyType({})) -> "Writer":
        """Return a writer for a new object. `metadata` must be ASCII, because S3 transfers it in headers."""
        return Writer(self.name, key, content_type, self._client, metadata)
