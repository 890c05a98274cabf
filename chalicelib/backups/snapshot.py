"""Reads the rows of all dataset tables from one snapshot, at the speed of COPY.

The rows of many consecutive pages of a table are a block. The COPY output has one row for each block, and each column
of this row has all values of one column, for example `string_agg(int4send(id), '')`. The driver therefore handles one
message for each block, instead of one for each row. `array` converts a column of binary integers to Python integers at
the speed of C.

For an optional column, this row has two fields. The first is a map with one byte for each row of the block: 1 if the
row has a value, and 0 for NULL. The second has the values that are not NULL.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from chalicelib.cloud.database import SNAPSHOT, Session, lock_timeout
from chalicelib.core.dataset import Column, Dataset

LOCK_TIMEOUT = 30.0  # seconds to wait for a migration that holds a table
_WINDOW = 64  # pages that one query reads: half a MiB, about 6000 rows
# The most bytes of text in one message. A page has 8 KiB, but Postgres may compress its text, so the text of 64 pages
# can be far larger than half a MiB.
_MAX_TEXT = 4 * 1024 * 1024
_SLOTS = 1 << 16  # row positions in a page: the second half of a ctid has 16 bits
_HEADER = 19  # bytes of signature, flags and length of the extension in COPY's binary format


@contextmanager
def snapshot(session: Session, datasets: Sequence[Dataset]) -> Iterator[dict[str, int]]:
    """Open a transaction that sees one snapshot of all datasets, and yield the version of each dataset.

    The tables are locked before the snapshot is taken. The lock blocks only schema changes and TRUNCATE. Without the
    lock, a TRUNCATE after the snapshot would make the table look empty: TRUNCATE removes rows for older snapshots, too.
    Raises LockTimeout after 30 s.
    """
    with session.transaction(SNAPSHOT):
        tables = ", ".join(dataset.table for dataset in datasets)
        session.run(f"{lock_timeout(LOCK_TIMEOUT)}; LOCK TABLE {tables} IN ACCESS SHARE MODE")
        # Only a TID range scan reads just the pages of a block; a sequential scan would read the whole table for each
        # block. Parallel workers would return the rows in any order.
        session.run("SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0")
        yield versions(session, [dataset.name for dataset in datasets])


def versions(session: Session, names: Iterable[str]) -> dict[str, int]:
    """Return the version of each of these datasets. Every change of a dataset increases its version. If the database
    has no version of a dataset, the version is 0."""
    stored = {name: int(version) for name, version in session.run("SELECT dataset, version FROM dataset_state")}
    return {name: stored.get(name, 0) for name in names}


def origin(session: Session) -> str:
    """Return an identifier of this database. A database that is dropped and created again has another identifier.

    Every Postgres server has an identifier, but a managed server may refuse to show it. In this case, the identifier in
    the table `database_identity` is used, which a migration has written. The right to call pg_control_system() is
    checked first, because an error would end the transaction.
    """
    is_shown = session.scalar("SELECT has_function_privilege(to_regprocedure('pg_control_system()'), 'EXECUTE')")
    identifier = "system_identifier FROM pg_control_system()" if is_shown else "id FROM database_identity"
    oid = "SELECT oid FROM pg_database WHERE datname = current_database()"
    return str(session.scalar(f"SELECT concat_ws('-', (SELECT {identifier}), ({oid}))"))


Columns = tuple[Sequence[Any], ...]


def blocks(session: Session, dataset: Dataset) -> Iterator[Columns]:
    """Yield every row that the transaction sees, in blocks. A block has a sequence of values for each column, in the
    written form of its kind. None stands for NULL."""
    pages = session.scalar(
        f"SELECT pg_relation_size('{dataset.table}') / current_setting('block_size')::int",
    )
    for start in range(0, pages, _WINDOW):
        for low, high in _fitting(session, dataset, start * _SLOTS, (start + _WINDOW) * _SLOTS):
            yield _block(session, dataset, low, high)


def _fitting(session: Session, dataset: Dataset, low: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield the range of row positions if its text fits into one message. Otherwise yield smaller ranges that fit, in
    order."""
    sizes = [
        f"coalesce({length}, 0)" if column.optional else length
        for column in dataset.columns
        if (length := column.kind.length(column.quoted))
    ]
    size = session.scalar(f"SELECT sum({' + '.join(sizes or ['0'])}) {_source(dataset, low, high)}")
    if size is None:  # the range has no rows
        return
    if size <= _MAX_TEXT or high - low == 1:
        yield low, high
        return
    middle = (low + high) // 2
    yield from _fitting(session, dataset, low, middle)
    yield from _fitting(session, dataset, middle, high)


def _block(session: Session, dataset: Dataset, low: int, high: int) -> Columns:
    columns = ", ".join(map(_aggregates, dataset.columns))
    message = BytesIO()
    session.copy_out(f"COPY (SELECT {columns} {_source(dataset, low, high)}) TO STDOUT (FORMAT binary)", message)
    fields = _fields(message.getvalue())
    return tuple(_values(column, fields) for column in dataset.columns)


def _aggregates(column: Column) -> str:
    values = column.kind.aggregate(column.quoted)
    if not column.optional:
        return values
    return f"string_agg(CASE WHEN {column.quoted} IS NULL THEN '\\x00'::bytea ELSE '\\x01' END, ''), {values}"


def _values(column: Column, fields: Iterator[memoryview]) -> Sequence[Any]:
    """Take the fields of a column, and return its values, with None for NULL."""
    if not column.optional:
        return column.kind.written(next(fields))
    has_value, field = bytes(next(fields)), next(fields)
    if not any(has_value):
        return [None] * len(has_value)
    values = column.kind.written(field)
    if all(has_value):
        return values
    rest = iter(values)
    return [next(rest) if is_given else None for is_given in has_value]


def _source(dataset: Dataset, low: int, high: int) -> str:
    first, last = ("'({},{})'".format(*divmod(position, _SLOTS)) for position in (low, high))
    return f"FROM {dataset.table} WHERE ctid >= {first} AND ctid < {last}"


def _fields(message: bytes) -> Iterator[memoryview]:
    """Yield the fields of the only row of a binary COPY. A field is empty if it is NULL."""
    view = memoryview(message)
    count = int.from_bytes(view[_HEADER : _HEADER + 2], "big")
    at = _HEADER + 2
    for _ in range(count):
        size = int.from_bytes(view[at : at + 4], "big", signed=True)
        at += 4
        yield view[at : at + max(0, size)]
        at += max(0, size)
