"""Writes the bodies of large requests to S3 to files, while the bodies arrive."""

import errno
import hashlib
import os
import shutil
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path

from infra.local.gate import signatures
from infra.local.gate.app import App, Send
from infra.local.gate.bodies import Disconnected, Message, Receive
from infra.local.gate.refusal import Refused
from infra.local.gate.request_types import RequestType, type_of
from infra.local.gate.signatures import Head
from infra.local.objects import checksums
from infra.local.objects.framing import Body, Headers, Incomplete, framing
from infra.local.objects.sending import in_thread, streaming
from infra.local.objects.stored import PIECE, Stored, Temporary

HELD = 256 * 1024  # bytes; ministack reads a body of at most this length into memory
_SPARE = 64 * 1024 * 1024  # bytes of the disk that stay free, for the state and for small objects
_LEAST = 1024 * 1024  # bytes that stay free when a small object is stored; the object also has a file of metadata
_FULL = (errno.ENOSPC, errno.EDQUOT)
# Requests for these parts of an object have small bodies, which ministack parses.
_SUBRESOURCES = {"acl", "annotation", "legal-hold", "retention", "tagging"}


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class ToDisk:
    """Passes requests to `inner`, and sends the bodies that are `Stored`. For a request to S3 with a large body,
    `inner` gets a `Receiving` as `receive`. An object for which the disk has no room is refused. `free` returns how
    many bytes of a folder's disk are free."""

    def __init__(self, inner: App, folder: Path, free: Callable[[Path], int] = _free) -> None:
        self._inner, self._folder, self._free = inner, folder, free

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            send = streaming(receive, send)
        if scope["type"] == "http" and scope["method"] in ("PUT", "POST"):
            head = Head.of(scope)
            length = _length(head)
            if _is_object(head, scope["path"]):
                self._require_space(length, _SPARE if length > HELD else _LEAST)
                receive = Receiving(receive, self._folder) if length > HELD else receive
        await self._inner(scope, receive, send)

    def _require_space(self, length: int, spare: int) -> None:
        free = self._free(self._folder)
        if free < length + spare:
            raise _full(f"the disk has {free // 10**6} MB free")


class Receiving:
    """The `receive` of a request to S3 with a large body."""

    def __init__(self, receive: Receive, folder: Path) -> None:
        self._receive, self._folder = receive, folder

    async def __call__(self) -> Message:
        return await self._receive()

    async def body(self, method: str, headers: Headers) -> Body:
        """Receive the whole body. If the body came in chunks, change `headers` to those of the body without chunks.

        Raises Incomplete, Disconnected, and Refused if the disk is full.
        """
        framed, sink = framing(method, headers), Sink(self._folder, checksums.named(headers))
        got, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise Disconnected
            data, more = message.get("body", b""), message.get("more_body", False)
            got += len(data)
            await sink.write(framed.feed(data))
        if headers.get("content-length", str(got)).strip() != str(got):
            raise Incomplete("the body has another length than Content-Length")
        return framed.end(headers, await sink.end())


class Sink:
    """Writes a body to a new file in `folder`. Meanwhile, it computes the MD5 and the checksums `names` of the body."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._file, self._descriptor = Temporary.create(folder)
        # A write may still go on in its thread when the request is cancelled. So the descriptor is closed only when
        # nothing refers to this object any more.
        weakref.finalize(self, os.close, self._descriptor)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._checksums = {name: checksum for name in names if (checksum := checksums.running(name))}
        self._waiting, self._size, self._written = list[bytes](), 0, 0

    async def write(self, data: bytes) -> None:
        """Write data now or later, at the latest in `end`. Raises Refused if the disk is full."""
        self._waiting.append(data)
        self._size += len(data)
        if self._size - self._written >= PIECE:
            await in_thread(self._flush)

    async def end(self) -> Stored:
        """Write the rest, and return the whole body. Raises Refused if the disk is full."""
        await in_thread(self._flush)
        found = {name: checksum.digest() for name, checksum in self._checksums.items()}
        return Stored(self._file, self._size, md5=self._md5, checksums=found)

    def _flush(self) -> None:
        waiting, self._waiting, self._written = self._waiting, [], self._size
        for data in waiting:
            self._md5.update(data)
            for checksum in self._checksums.values():
                checksum.update(data)
            rest = memoryview(data)
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except OSError as error:
                    if error.errno in _FULL:
                        raise _full("the disk is full") from error
                    raise


def _length(head: Head) -> int:
    """Return the announced length of the body. A body whose length is not announced counts as large."""
    return HELD + 1 if head.header("transfer-encoding") else int(head.header("content-length") or 0)


def _is_object(head: Head, path: str) -> bool:
    """Return whether the body of a request is an object, a part of an object, or a form with an object."""
    kind = type_of(head, path)
    if kind is not RequestType.AWS:
        return kind is RequestType.FORM
    claim = signatures.claimed(head)
    names = {name for name, _ in head.query}
    key = path.lstrip("/").partition("/")[2]
    return (
        bool(key) and head.method == "PUT" and claim is not None and claim.service == "s3" and not names & _SUBRESOURCES
    )


def _full(why: str) -> Refused:
    return Refused(507, "InsufficientStorage", f"{why}: free some space, then send the request again")
