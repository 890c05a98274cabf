"""Runs statements with parameters: parses each of them only once, and sends it to Postgres in one round trip. A
connection of the API or of files also lets Postgres keep the statements that it sends often.

pg8000 looks for the parameters of a statement character by character. For a long statement, this takes a millisecond,
which is more than most statements take in Postgres. And pg8000 waits for three responses for each such statement: to
Parse, to Describe and to Execute. This waiting takes most of the time of a short statement. Postgres also accepts all
messages at once, so this module sends them together, and waits once.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

import pg8000.core
import pg8000.native
from pg8000.exceptions import DatabaseError

from chalicelib.cloud.database_errors import is_outdated
from chalicelib.cloud.prepared_names import PreparedNames

_MOST = 256  # parsed statements in memory; a function has fewer, not counting those with the tables of a single load
_COUNT, _LENGTH = Struct("!H"), Struct("!i")
_NUL = b"\0"
_PARSE, _BIND, _DESCRIBE, _CLOSE, _EXECUTE = b"P", b"B", b"D", b"C", b"E"
_STATEMENT = b"S"
_IDLE = b"I"  # the status of a connection without a transaction
_PORTAL = b"P" + _NUL  # the unnamed portal
_ALL_ROWS = _NUL + bytes(4)  # of the unnamed portal
_NO_PARAMETERS = _NUL + _NUL + bytes(6)  # binds the unnamed statement to the unnamed portal


class Connection(pg8000.native.Connection):  # type: ignore[misc]  # pg8000 has no types
    """A connection that remembers how statements were parsed, and waits only once for each statement."""

    _names: PreparedNames | None = None
    _commits = False  # whether the statement that is being sent is the last of its transaction

    def prepare(self, names: PreparedNames) -> None:
        """Let Postgres keep statements under these names from now on."""
        self._names = names

    @property
    def is_idle(self) -> bool:
        """Whether no transaction is open."""
        return bool(self._transaction_status == _IDLE)

    def run(self, sql: str, stream: Any = None, **params: Any) -> Any:
        if not params and stream is None:
            return super().run(sql)
        statement, values = parsed(sql)
        if stream is None:
            self._context = self._execute_at_once(statement, values(params))
        else:
            self._context = self.execute_unnamed(statement, values(params), stream=stream)
        return self._context.rows

    def run_and_commit(self, sql: str, **params: Any) -> Any:
        """Run a statement with parameters, and commit in the same round trip. If the statement fails, Postgres skips
        the commit."""
        self._commits = True
        try:
            return self.run(sql, **params)
        finally:
            self._commits = False

    def _execute_at_once(self, statement: str, values: Sequence[Any]) -> Any:
        texts = pg8000.core.make_params(self.py_types, values)
        if self._names is None or (name := self._names.name_of(statement)) is None:
            self._parse(b"", statement)
            return self._executed(b"", statement, texts)
        if not name.is_ready:
            return self._prepared(self._names, name.text, statement, texts)
        try:
            return self._executed(name.text, statement, texts)
        except DatabaseError as error:
            if is_outdated(error):
                self._names.forget()
                # In a transaction, the transaction has failed. If its commit has failed, there is no transaction now.
                if self.is_idle and not self._commits:
                    return self._prepared(self._names, name.text, statement, texts)
            raise

    def _prepared(self, names: PreparedNames, name: bytes, statement: str, texts: Sequence[str | None]) -> Any:
        """Let Postgres prepare a statement under a name, in the place of an earlier one, and execute it."""
        names.failed(statement)
        self._send_message(_CLOSE, _STATEMENT + name + _NUL)  # does nothing if there is none
        self._parse(name, statement)
        context = self._executed(name, statement, texts)
        names.succeeded(statement)
        return context

    def _parse(self, name: bytes, statement: str) -> None:
        self._send_message(_PARSE, name + _NUL + statement.encode() + _NUL + _COUNT.pack(0))

    def _executed(self, name: bytes, statement: str, texts: Sequence[str | None]) -> Any:
        context = pg8000.core.Context(statement)
        parameters = [_COUNT.pack(len(texts)), *map(_field, texts)]
        self._send_message(_BIND, b"".join((_NUL, name, _NUL, _COUNT.pack(0), *parameters, _COUNT.pack(0))))
        self._send_message(_DESCRIBE, _PORTAL)
        self._send_message(_EXECUTE, _ALL_ROWS)
        if self._commits:
            self._parse(b"", "COMMIT")
            self._send_message(_BIND, _NO_PARAMETERS)
            self._send_message(_EXECUTE, _ALL_ROWS)
        pg8000.core._write(self._sock, pg8000.core.SYNC_MSG)
        pg8000.core._flush(self._sock)
        self.handle_messages(context)
        return context


@lru_cache(_MOST)
def parsed(sql: str) -> tuple[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]]:
    """Return a statement with the numbers of its parameters instead of their names, and a function that puts the values
    of the parameters in their order."""
    statement, values = pg8000.native.to_statement(sql)
    return statement, values


def _field(text: str | None) -> bytes:
    if text is None:
        return _LENGTH.pack(-1)
    value = text.encode()
    return _LENGTH.pack(len(value)) + value
