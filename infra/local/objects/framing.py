"""Extracts the data from the bodies that clients send: plain bodies, bodies in the format aws-chunked, and forms."""

import re
from typing import Protocol

from infra.local.gate.forms import NAME
from infra.local.objects.stored import Stored

Headers = dict[str, str]
_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})(?:;.*)?")
_LONGEST = 64 * 1024  # the most bytes of a line, or of the headers that follow the chunks
_BOUNDARY = re.compile(r'boundary=("?)([^";\s]+)\1', re.IGNORECASE)


class Incomplete(Exception):
    """The body does not match what its headers announce."""


class SentForm:
    """A form. `head` is everything before the content of its file, and `end` is the boundary after the content."""

    def __init__(self, head: bytes, end: bytes, file: Stored) -> None:
        self.head, self.end, self.file = head, end, file

    def __len__(self) -> int:
        return len(self.head) + len(self.file) + len(self.end)

    def decode(self, *_: object, **__: object) -> str:
        """See Stored.decode."""
        return ""


Body = Stored | SentForm


class Framing(Protocol):
    """Extracts the content from a body. `feed` gets each piece of the body, and returns the content in it. After the
    last piece, `end` gets the stored content. Both raise Incomplete."""

    def feed(self, data: bytes) -> bytes: ...
    def end(self, headers: Headers, stored: Stored) -> Body: ...


class Plain:
    def feed(self, data: bytes) -> bytes:
        return data

    def end(self, headers: Headers, stored: Stored) -> Body:  # noqa: ARG002 - see Framing
        return stored


class AwsChunked:
    """Reads a body of chunks. The length of each chunk precedes it, and headers may follow the last chunk. The gate has
    already checked the signatures of the chunks."""

    def __init__(self) -> None:
        self._buffer, self._left = bytearray(), 0  # bytes left in the chunk
        self._between = b""  # what precedes the length of the next chunk
        self._trailer: bytearray | None = None

    def feed(self, data: bytes) -> bytes:
        self._buffer += data
        content = bytearray()
        while self._trailer is None and (self._left or self._began_chunk()):
            taken = self._buffer[: self._left]
            if self._left and not taken:
                break
            del self._buffer[: len(taken)]
            content += taken
            self._left -= len(taken)
        if self._trailer is not None:
            self._trailer += self._buffer
            self._buffer.clear()
        if len(self._trailer or b"") > _LONGEST:
            raise Incomplete("the headers after the last chunk are too long")
        return bytes(content)

    def _began_chunk(self) -> bool:
        """Read the length of the next chunk. Return False if the line with the length is incomplete."""
        begin = len(self._between)
        end = self._buffer.find(b"\r\n", begin)
        if end < 0 and len(self._buffer) <= _LONGEST:
            return False
        match = _SIZE.fullmatch(self._buffer, begin, max(end, begin))
        if not match or not self._buffer.startswith(self._between):
            raise Incomplete("a chunk has no length, or does not end where it should")
        self._left, self._between = int(match[1], 16), b"\r\n"
        if not self._left:
            self._trailer = bytearray()
        del match, self._buffer[: end + 2]  # a match keeps its buffer from being resized
        return True

    def end(self, headers: Headers, stored: Stored) -> Body:
        """Add the headers that follow the chunks to `headers`, and remove aws-chunked from Content-Encoding."""
        if self._trailer is None:
            raise Incomplete("the last chunk is missing")
        declared = headers.get("x-amz-decoded-content-length", "").strip()
        if declared and declared != str(len(stored)):
            raise Incomplete("the chunks have another length than x-amz-decoded-content-length")
        given = self._given(bytes(self._trailer))
        announced = {name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",") if name.strip()}
        if not announced <= given.keys():
            raise Incomplete("an announced header after the chunks is missing")
        for name, value in given.items():
            headers.setdefault(name, value)
        encodings = [name.strip() for name in headers.pop("content-encoding", "").split(",")]
        if kept := [name for name in encodings if name and name != "aws-chunked"]:
            headers["content-encoding"] = ", ".join(kept)
        return stored

    @staticmethod
    def _given(trailer: bytes) -> Headers:
        lines, end, more = trailer.partition(b"\r\n\r\n") if trailer != b"\r\n" else (b"", trailer, b"")
        if not end or more:
            raise Incomplete("the headers after the last chunk are incomplete")
        pairs = [line.partition(b":") for line in lines.split(b"\r\n") if line]
        if any(not name or not colon for name, colon, _ in pairs):
            raise Incomplete("the headers after the last chunk are malformed")
        return {name.decode("latin-1").strip().lower(): value.decode("latin-1").strip() for name, _, value in pairs}


class FormFile:
    """Reads a form whose last field is a file. The gate has already checked the fields before the file."""

    def __init__(self, content_type: str) -> None:
        match = _BOUNDARY.search(content_type)
        if not match:
            raise Incomplete("the form has no boundary")
        self._boundary = b"\r\n--" + match[2].encode()
        self._seen, self._head, self._over = bytearray(b"\r\n"), b"", False

    def feed(self, data: bytes) -> bytes:
        if self._over:
            return b""  # S3 ignores what follows the file
        self._seen += data
        if not self._head and not self._found_file():
            return b""
        end = self._seen.find(self._boundary)
        self._over = end >= 0
        # If no boundary was found, the last bytes may be the beginning of one.
        content = bytes(self._seen[: end if self._over else max(0, len(self._seen) - len(self._boundary) + 1)])
        del self._seen[: len(content)]
        return content

    def _found_file(self) -> bool:
        """Return whether the content of the file has begun. If so, remove everything before it from the seen bytes."""
        begin = 0
        while begin >= 0 and (blank := self._seen.find(b"\r\n\r\n", begin + len(self._boundary))) >= 0:
            name = NAME.search(self._seen[begin + 2 : blank])
            if name and (name[1] or name[2] or b"").lower() == b"file":
                self._head = bytes(self._seen[2 : blank + 4])
                del self._seen[: blank + 4]
                return True
            begin = self._seen.find(self._boundary, blank)
        return False

    def end(self, headers: Headers, stored: Stored) -> Body:  # noqa: ARG002 - see Framing
        if not self._over:
            raise Incomplete("the form has no end")
        return SentForm(self._head, self._boundary + b"--\r\n", stored)


def framing(method: str, headers: Headers) -> Framing:
    """Return the framing of a request's body. Raises Incomplete if the body is a form without a boundary."""
    if method == "POST":
        return FormFile(headers.get("content-type", ""))
    chunked = "aws-chunked" in headers.get("content-encoding", "") or "x-amz-decoded-content-length" in headers
    if chunked or headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        return AwsChunked()
    return Plain()
