"""Checks request bodies piece by piece while they pass through the gate.

The gate passes on the last piece only after it has verified the whole body, and ministack does nothing before it has
the last piece. If a body is incomplete or differs from the signed body, ministack gets a disconnect instead of the last
piece.
"""

import asyncio
import hmac
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any, Protocol

from infra.local.gate.refusal import Refused, mismatch

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

EMPTY = sha256(b"").hexdigest()
PATIENCE = 20.0  # seconds; a request is refused if less than PROGRESS of its body arrives in this time
PROGRESS = 4096  # bytes
_AT_ONCE = 1024 * 1024  # bytes; when this many are waiting, a thread computes their hash
_BEHIND = 8 * _AT_ONCE  # bytes; when this many are waiting, no more is received until the thread has finished
_HASHERS = ThreadPoolExecutor(2, "hash")
_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
_LONGEST_LINE = 1024
_TRAILER = re.compile(rb"([a-z0-9-]+):([ -~]*)")


class Disconnected(Exception):
    """The client disconnected before the application had the whole body."""


class Check(Protocol):
    """Checks a body. `feed` gets each piece, and `end` is called after the last piece. Both may raise Refused."""

    async def feed(self, data: bytes) -> None: ...
    async def end(self) -> None: ...


class Unchecked:
    """Accepts every body."""

    async def feed(self, data: bytes) -> None:
        pass

    async def end(self) -> None:
        pass


class Short:
    """Checks the length of a body. Raises `refusal` if the body has more than `most` bytes."""

    def __init__(self, most: int, refusal: Refused) -> None:
        self._left, self._refusal = most, refusal

    async def feed(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise self._refusal

    async def end(self) -> None:
        pass


class Hashed:
    """Checks a body whose hash was signed. A thread computes the hash of a long body while the body is passed on."""

    def __init__(self, expected: str) -> None:
        self._expected, self._digest = expected, sha256()
        self._waiting: list[bytes] = []
        self._size = 0
        self._hashing: asyncio.Future[None] | None = None

    async def feed(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        if self._size >= _AT_ONCE and (self._hashing is None or self._hashing.done()):
            self._hashing = asyncio.get_running_loop().run_in_executor(_HASHERS, self._hash, self._taken())
        elif self._size >= _BEHIND and self._hashing is not None:
            await self._hashing

    async def end(self) -> None:
        if self._hashing is not None:
            await self._hashing
        self._hash(self._taken())
        if not hmac.compare_digest(self._digest.hexdigest().encode(), self._expected.encode()):
            raise Refused(
                400,
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )

    def _taken(self) -> list[bytes]:
        taken, self._waiting, self._size = self._waiting, [], 0
        return taken

    def _hash(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._digest.update(piece)


class Chunks:
    """Checks an aws-chunked body, in which each chunk has a size and, if `sign` is given, a signature.

    `sign(kind, previous, *hashes)` computes the signature of a chunk (kind PAYLOAD) or of the trailing headers (kind
    TRAILER) from the previous signature. `seed` is the signature before the first chunk. `length` is the total length
    of all chunks. `trailer` says whether headers follow the chunks.
    """

    def __init__(self, length: int, sign: Callable[..., str] | None, seed: str, trailer: bool) -> None:
        self._left, self._sign, self._previous, self._trailer = length, sign, seed, trailer
        self._line, self._in_chunk, self._digest = bytearray(), 0, sha256()
        self._signature, self._trailing = "", b""
        self._step: Callable[[bytes], bytes] = self._size

    async def feed(self, data: bytes) -> None:
        while data:
            data = self._step(data)

    async def end(self) -> None:
        if self._step != self._nothing or self._left:
            raise _incomplete()

    def _size(self, data: bytes) -> bytes:
        line, data = self._until_line_end(data)
        if line is None:
            return data
        match = _SIZE.fullmatch(line)
        if not match or bool(match[2]) != (self._sign is not None):
            raise _incomplete()
        self._in_chunk, self._signature = int(match[1], 16), (match[2] or b"").decode()
        self._left -= self._in_chunk
        if self._left < 0:
            raise _incomplete()
        if self._in_chunk:
            self._digest, self._step = sha256(), self._data
        else:
            self._verify("PAYLOAD", self._signature, EMPTY, EMPTY)
            self._step = self._trailing_header
        return data

    def _data(self, data: bytes) -> bytes:
        part, data = data[: self._in_chunk], data[self._in_chunk :]
        if self._sign is not None:
            self._digest.update(part)
        self._in_chunk -= len(part)
        if not self._in_chunk:
            self._verify("PAYLOAD", self._signature, EMPTY, self._digest.hexdigest())
            self._step = self._end_of_chunk
        return data

    def _end_of_chunk(self, data: bytes) -> bytes:
        line, data = self._until_line_end(data)
        if line is not None:
            if line:
                raise _incomplete()
            self._step = self._size
        return data

    def _trailing_header(self, data: bytes) -> bytes:
        line, data = self._until_line_end(data)
        if line is None:
            return data
        if not line:
            if self._trailer and self._sign is not None:  # the signature of the headers is missing
                raise mismatch()
            self._step = self._nothing
            return data
        match = _TRAILER.fullmatch(line)
        if not match or not (self._trailer or self._sign is None):
            raise _incomplete()
        if match[1] == b"x-amz-trailer-signature":
            self._verify("TRAILER", match[2].decode().strip(), sha256(self._trailing).hexdigest())
            self._trailer = False  # no header may follow the signature
        else:
            self._trailing += match[1] + b":" + match[2].strip() + b"\n"
        return data

    def _nothing(self, _: bytes) -> bytes:
        raise _incomplete()

    def _until_line_end(self, data: bytes) -> tuple[bytes | None, bytes]:
        """Return (the line without its line end, the rest of the data), or (None, b"") if the line is incomplete."""
        before, end, after = data.partition(b"\n")
        self._line += before + end
        if len(self._line) > _LONGEST_LINE:
            raise _incomplete()
        if not end:
            return None, b""
        line = bytes(self._line)
        self._line.clear()
        if not line.endswith(b"\r\n"):
            raise _incomplete()
        return line[:-2], after

    def _verify(self, kind: str, signature: str, *hashes: str) -> None:
        if self._sign is None:
            return
        computed = self._sign(kind, self._previous, *hashes)
        if not hmac.compare_digest(computed, signature):
            raise mismatch()
        self._previous = computed


class Incoming:
    """A `receive` of ASGI that remembers whether it has returned the whole body."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._over = receive, False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._over = self._over or message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def drained(self, limit: int) -> None:
        """Read and drop the rest of the body, at most `limit` bytes. Stop early if the sender is too slow."""
        checked = Checked(self, Unchecked())
        while limit > 0 and not self._over and checked.refusal is None:
            limit -= len((await checked()).get("body", b""))


class Checked:
    """A `receive` that checks the body that it returns. `refusal` is the failure, or None. `patience` is in seconds."""

    def __init__(self, receive: Receive, check: Check, patience: float = PATIENCE) -> None:
        self._receive, self._check, self._patience = receive, check, patience
        self._since, self._got = time.monotonic(), 0
        self.refusal: Refused | None = None
        self.ended = False

    async def __call__(self) -> Message:
        if self.refusal is not None:
            return {"type": "http.disconnect"}
        if self.ended:
            return await self._receive()  # after the end of the body, `receive` waits until the client disconnects
        try:
            async with asyncio.timeout(self._patience):
                message = await self._receive()
            if message["type"] == "http.request":
                await self._look_at(message)
            return message
        except TimeoutError:
            self.refusal = _too_slow()
        except Refused as refusal:
            self.refusal = refusal
        self.ended = True
        return {"type": "http.disconnect"}

    async def _look_at(self, message: Message) -> None:
        data = message.get("body", b"")
        self._got += len(data)
        await self._check.feed(data)
        if not message.get("more_body", False):
            await self._check.end()
            self.ended = True
        elif (now := time.monotonic()) - self._since > self._patience:
            if self._got < PROGRESS:
                raise _too_slow()
            self._since, self._got = now, 0


async def whole(receive: Receive, limit: int) -> bytes:
    """Read and return the whole body. The gate does this if it must verify the body as a whole. Raises Refused."""
    parts: list[bytes] = []
    size, check = 0, Checked(receive, Unchecked())
    while not check.ended:
        message = await check()
        if message["type"] != "http.request":
            raise check.refusal or _incomplete()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise Refused(413, "RequestEntityTooLarge", f"a body of more than {limit} bytes needs x-amz-content-sha256")
    return b"".join(parts)


def again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that returns `body` first, and then the messages of the given `receive`."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return first.pop() if first else await receive()

    return replayed


def _incomplete() -> Refused:
    return Refused(400, "IncompleteBody", "the body does not match what its headers announce")


def _too_slow() -> Refused:
    return Refused(408, "RequestTimeout", f"less than {PROGRESS} bytes of the body came within {PATIENCE:.0f} seconds")
