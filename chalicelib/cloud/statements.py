"""Runs statements with parameters: parses each of them only once, and sends it to Postgres in one round trip, alone or
together with others. A connection of the API or of files also lets Postgres keep the statements that it sends often.

pg8000 looks for the parameters of a statement character by character. For a long statement, this takes a millisecond,
which is more than most statements take in Postgres. And pg8000 waits for three responses for each such statement: to
Parse, to Describe and to Execute. This waiting takes most of the time of a short statement. Postgres also accepts all
messages at once, so this module sends them together, and waits once.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from types import MappingProxyType
from typing import Any, NamedTuple

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
_COMPLETE, _READY = b"C", b"Z"  # the ends of the responses to a statement, and to all statements of a round trip
_PORTAL = b"P" + _NUL  # the unnamed portal
_ALL_ROWS = _NUL + bytes(4)  # of the unnamed portal


class Statement(NamedTuple):
    """One statement, with the values of its parameters."""

    sql: str
    params: Mapping[str, Any] = MappingProxyType({})


class Result(NamedTuple):
    """The rows that a statement has returned, and the number of rows that it has affected."""

    rows: list[list[Any]]
    affected: int


class Connection(pg8000.native.Connection):  # type: ignore[misc]  # pg8000 has no types
    """A connection that remembers how statements were parsed, and waits only once for each statement."""

    _names: PreparedNames | None = None

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
        if stream is not None:
            statement, values = parsed(sql)
            self._context = self.execute_unnamed(statement, values(params), stream=stream)
            return self._context.rows
        try:
            [self._context] = self._executed([Statement(sql, params)])
        except DatabaseError as error:
            # In a transaction, the transaction has failed.
            if self._names is None or not is_outdated(error) or not self.is_idle:
                raise
            [self._context] = self._executed([Statement(sql, params)])
        return self._context.rows

    def run_together(self, statements: Sequence[Statement]) -> list[Result]:
        """Run statements in one round trip, if there are any. If one of them fails, Postgres skips the statements after
        it, and the error is raised. Their results must be small: all statements are sent before a result is read."""
        if not statements:
            return []
        return [Result(context.rows or [], context.row_count) for context in self._executed(statements)]

    def _executed(self, statements: Sequence[Statement]) -> list[Any]:
        """Send statements, and return their contexts when all of them have been executed."""
        sent = [self._send(statement) for statement in statements]
        pg8000.core._write(self._sock, pg8000.core.SYNC_MSG)
        pg8000.core._flush(self._sock)
        contexts = [context for context, _ in sent]
        try:
            self._receive(contexts)
        except DatabaseError as error:
            if self._names is not None and is_outdated(error):
                self._names.forget()
            raise
        for context, is_prepared in sent:
            if is_prepared and self._names is not None:
                self._names.succeeded(context.statement)
        return contexts

    def _send(self, statement: Statement) -> tuple[Any, bool]:
        """Send the messages of a statement. Return its context, and whether the messages let Postgres prepare it under
        a name, in the place of an earlier one."""
        text, values = parsed(statement.sql)
        sent = pg8000.core.make_params(self.py_types, values(statement.params))
        name = None if self._names is None else self._names.name_of(text)
        named, is_ready = name or (b"", False)
        is_prepared = bool(named) and not is_ready
        if self._names is not None and is_prepared:
            self._names.failed(text)
            self._send_message(_CLOSE, _STATEMENT + named + _NUL)  # does nothing if there is none
        if not is_ready:
            self._send_message(_PARSE, named + _NUL + text.encode() + _NUL + _COUNT.pack(0))
        fields = [_COUNT.pack(len(sent)), *map(_field, sent)]
        self._send_message(_BIND, b"".join((_NUL, named, _NUL, _COUNT.pack(0), *fields, _COUNT.pack(0))))
        self._send_message(_DESCRIBE, _PORTAL)
        self._send_message(_EXECUTE, _ALL_ROWS)
        return pg8000.core.Context(text), is_prepared

    def _receive(self, contexts: Sequence[Any]) -> None:
        """Receive the responses to the statements with these contexts. Raises the error of the statement that
        failed."""
        following, code = iter(contexts), b""
        context = next(following)
        while code != _READY:
            code, length = pg8000.core.ci_unpack(pg8000.core._read(self._sock, 5))
            self.message_types[code](pg8000.core._read(self._sock, length - 4), context)
            if code == _COMPLETE:
                context = next(following, context)
        for context in contexts:
            if context.error is not None:
                raise context.error


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
