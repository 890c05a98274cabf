"""Sends a statement with parameters to Postgres in one round trip.

pg8000 waits for three responses for each such statement: to Parse, to Describe and to Execute. Postgres also accepts
all messages at once. For a short statement, most of the time is the waiting.
"""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

import pg8000.core
import pg8000.native

_COUNT, _LENGTH = Struct("!H"), Struct("!i")
_NUL = b"\0"
_PARSE, _BIND, _DESCRIBE = b"P", b"B", b"D"
_PORTAL = b"P" + _NUL  # the unnamed portal
# Splits a statement into the text for Postgres and the names of its parameters, one character after the other. The
# statements of a function are nearly always the same.
_prepared = lru_cache(maxsize=256)(pg8000.native.to_statement)


class PipelinedConnection(pg8000.native.Connection):  # type: ignore[misc]  # pg8000 declares no types
    """A connection that waits once for each statement."""

    def run(self, sql: str, stream: Any = None, types: Any = None, **params: Any) -> list[list[Any]] | None:
        """Run SQL and return its rows, or None if it returns no rows."""
        rows: list[list[Any]] | None
        if stream is not None or types is not None or not params:
            rows = super().run(sql, stream=stream, types=types, **params)
        else:
            text, values_of = _prepared(sql)
            self._context = self._execute_at_once(text, values_of(params))
            rows = self._context.rows
        return rows

    def _execute_at_once(self, text: str, values: Sequence[Any]) -> Any:
        context = pg8000.core.Context(text)
        texts = pg8000.core.make_params(self.py_types, values)
        parameters = [_COUNT.pack(len(texts)), *map(_field, texts)]
        self._send_message(_PARSE, _NUL + text.encode() + _NUL + _COUNT.pack(0))
        self._send_message(_BIND, b"".join((_NUL, _NUL, _COUNT.pack(0), *parameters, _COUNT.pack(0))))
        self._send_message(_DESCRIBE, _PORTAL)
        pg8000.core._write(self._sock, pg8000.core.EXECUTE_MSG + pg8000.core.SYNC_MSG)
        pg8000.core._flush(self._sock)
        self.handle_messages(context)
        return context


def _field(text: str | None) -> bytes:
    if text is None:
        return _LENGTH.pack(-1)
    value = text.encode()
    return _LENGTH.pack(len(value)) + value
