"""Builds a form with a file (multipart/form-data, RFC 7578).

The file is read in pieces while the form is sent, so the file may have any size.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import BinaryIO

from cli.errors import CommandError


class Form:
    """A form with `fields` and a file of `size` bytes. `on_read` gets the number of bytes of each read of the file."""

    def __init__(
        self,
        fields: Mapping[str, str],
        name: str,
        file: BinaryIO,
        size: int,
        on_read: Callable[[int], object] = lambda _: None,
    ) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        parts = [f"{_head(boundary, field)}\r\n{value}\r\n" for field, value in fields.items()]
        parts.append(f"{_head(boundary, 'file', name)}Content-Type: application/octet-stream\r\n\r\n")
        self._head, self._tail = "".join(parts).encode(), f"\r\n--{boundary}--\r\n".encode()
        self.length = len(self._head) + size + len(self._tail)
        self.name, self._file, self._left, self._on_read = name, file, size, on_read

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most `size`, or none at the end. Raises CommandError if the file has shrunk."""
        if self._head:
            data, self._head = _cut(self._head, size)
            return data
        if self._left:
            data = self._file.read(self._left if size < 0 else min(size, self._left))
            if not data:
                raise CommandError(f"{self.name} became shorter while it was being sent: send it again")
            self._left -= len(data)
            self._on_read(len(data))
            return data
        data, self._tail = _cut(self._tail, size)
        return data


def _head(boundary: str, field: str, file_name: str | None = None) -> str:
    named = f'; filename="{_escaped(file_name)}"' if file_name is not None else ""
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(field)}"{named}\r\n'


def _escaped(name: str) -> str:
    """Escape a name as browsers do (HTML standard, "multipart/form-data encoding algorithm")."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _cut(data: bytes, size: int) -> tuple[bytes, bytes]:
    return (data, b"") if size < 0 else (data[:size], data[size:])
