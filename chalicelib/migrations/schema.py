"""Describes all tables as SQLAlchemy Core metadata: the tables of the datasets, which are made from the declarations of
the datasets, and the internal tables.

Only migrations and their tests use this metadata. At run time, statements are plain SQL (see `cloud.database`).
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import TypeEngine

from chalicelib.auth.roles import ROLES
from chalicelib.core import dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.kinds.table import Kind
from chalicelib.core.kinds.values import InvalidDeclaration

_NAMES = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
}
_internal = MetaData(naming_convention=_NAMES)


def _column(declared: dataset.Column) -> Column[object]:
    # Foreign keys have no index. Each index would slow down a bulk load about as much as the primary key does. It would
    # speed up only the deletion of parents, which is rare.
    foreign = [ForeignKey(f"{declared.parent}.id")] if declared.parent else []
    return Column(
        declared.name,
        _type(declared.kind),
        *foreign,
        primary_key=declared.name == "id",
        nullable=declared.optional,
        autoincrement=False if declared.name == "id" else "auto",
        server_default=_default(declared),
    )


def _default(declared: dataset.Column) -> ColumnElement[str] | None:
    """Return the default of a column as a quoted text. Postgres converts the text to the type of the column.

    A release without the column still inserts rows for some minutes after the migration. These rows get the default.
    """
    # This is not a str, because Alembic would remove a quotation mark at its beginning or end before a comparison.
    return None if declared.default is None else literal_column(declared.default_sql)


def _type(kind: Kind) -> TypeEngine[Any]:
    """Return SQLAlchemy's type for the type of a kind in Postgres, for example for `numeric(12, 2)`."""
    name, _, sizes = kind.sql.partition("(")
    if name == "timestamptz":
        return DateTime(timezone=True)
    known: TypeEngine[Any] = ischema_names[name](*(int(size) for size in sizes.rstrip(")").split(",") if size))
    return known


_COUNTS = ("received", "inserted", "updated", "unchanged", "superseded", "rejected", "resolved")


def _instant(name: str, *, default: bool = False) -> Column[object]:
    """Return a timestamptz column. It is NOT NULL if it has a default."""
    return Column(name, DateTime(timezone=True), nullable=not default, server_default=func.now() if default else None)


loads = Table(
    "loads",
    _internal,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("dataset", Text),  # NULL for an object that Hireflow does not load
    Column("source", Text, nullable=False),
    Column("version", Text),
    Column("sequencer", Text),
    Column(
        "kind", Text, CheckConstraint("kind IN ('csv', 'avro', 'xlsx', 'api', 'restore')", name="kind"), nullable=False
    ),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed', 'skipped')", name="status"),
        nullable=False,
    ),
    *(Column(name, BigInteger, nullable=False, server_default=text("0")) for name in _COUNTS),
    Column("attempts", Integer, nullable=False, server_default=text("0")),  # since the last handover
    Column("handovers", Integer, nullable=False, server_default=text("0")),
    Column("errored_key", Text),
    Column("sha256", Text),
    Column("restore_point", Text),
    Column("error", Text),
    Column(  # the load failed because no attempts were left, not because of its object; a redrive reopens it
        "given_up",
        Boolean,
        CheckConstraint("status = 'failed' OR NOT given_up", name="given_up"),
        nullable=False,
        server_default=text("false"),
    ),
    Column("reasons", JSONB, nullable=False, server_default=text("'[]'")),  # [{"reason", "count"}] of the rejects
    Column("format", JSONB),  # the format of the file, as `Format.shown` returns it
    Column("file_columns", JSONB),  # the names in the header of the file
    Column("tracked_rejects", BigInteger, nullable=False, server_default=text("0")),  # the load's tracked rejects
    Column("notices", JSONB, nullable=False, server_default=text("'[]'")),  # sentences about the file
    Column("correlation_id", Text),  # of the request that caused the load
    _instant("created_at", default=True),
    _instant("queued_at", default=True),  # later than created_at if the load was queued again, for example by a redrive
    _instant("started_at"),
    _instant("finished_at"),
    UniqueConstraint("source", "version"),
    Index("loads_dataset_id_idx", "dataset", "id"),
    Index("loads_status_id_idx", "status", "id"),
    Index("loads_kind_id_idx", "kind", "id", postgresql_where=text("kind <> 'api'")),  # requests need no search by kind
)

orphans = Table(
    "orphans",
    _internal,
    Column("dataset", Text, primary_key=True),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("load_id", BigInteger, ForeignKey("loads.id", ondelete="CASCADE"), nullable=False),
    Column("row", JSON, nullable=False),
    _instant("rejected_at", default=True),
    Index("orphans_load_id_idx", "load_id"),
)

open_rejects = Table(  # the tracked rejects that are open
    "open_rejects",
    _internal,
    Column("load_id", BigInteger, ForeignKey("loads.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("place", BigInteger, primary_key=True, autoincrement=False),  # the line in a file, or the index in a request
    Column("dataset", Text, nullable=False),
    Column("id", Integer),  # the id of the row, or NULL if it is not valid
    Column("waits", Boolean, nullable=False),  # whether missing parents are the only reason
    Index("open_rejects_dataset_id_idx", "dataset", "id"),
)

staged_loads = Table(  # the progress of unfinished loads of large objects; the schema `staged` has their staged rows
    "staged_loads",
    _internal,
    Column("load_id", BigInteger, ForeignKey("loads.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("etag", Text, nullable=False),  # of the object that the load reads; the columns of its rows may follow
    Column("bytes", BigInteger, nullable=False, server_default=text("0")),  # uncompressed bytes that were read so far
    *(Column(name, BigInteger, nullable=False, server_default=text("0")) for name in ("lines", "received", "rejected")),
    Column("reasons", JSONB, nullable=False, server_default=text("'{}'")),
    Column("oddities", JSONB, nullable=False, server_default=text("'{}'")),
    Column("seconds", Double, nullable=False, server_default=text("0")),  # the time that all invocations have worked
    Column("complete", Boolean, nullable=False, server_default=text("false")),
)

landing_sweep = Table(  # this table always has one row
    "landing_sweep",
    _internal,
    Column("starts_at", DateTime(timezone=True), primary_key=True),  # the sweep ignores older objects
    Column("swept_at", DateTime(timezone=True), nullable=False),  # when the last sweep began
    Column("key_marker", Text, nullable=False, server_default=""),  # the position of the sweep in the list of versions
    Column("version_marker", Text, nullable=False, server_default=""),
    Column("pruned_to", BigInteger, nullable=False, server_default=text("0")),  # the load that the pruning last saw
)

idle_loads = Table(  # unfinished loads without a worker; if a counter changes later, a worker has claimed the load
    "idle_loads",
    _internal,
    Column("load_id", BigInteger, ForeignKey("loads.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("attempts", Integer, nullable=False),
    Column("handovers", Integer, nullable=False),
    _instant("since", default=True),
)

tokens = Table(
    "tokens",
    _internal,
    Column("id", Text, primary_key=True),
    Column("role", Text, CheckConstraint(f"role IN {ROLES}", name="role"), nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("rows", Boolean, nullable=False, server_default=text("false")),  # whether the token shows rows
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the secret
    _instant("created_at", default=True),
    _instant("revoked_at"),
)

database_identity = Table(  # this table always has one row
    "database_identity",
    _internal,
    Column("id", Uuid, primary_key=True),
)

deployment = Table(  # this table always has one row
    "deployment",
    _internal,
    Column("api_url", Text, primary_key=True),  # empty until the first deployment of this release
)

outbox = Table(  # the messages that the relay has not sent yet
    "outbox",
    _internal,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column(
        "kind",
        Text,
        CheckConstraint("kind IN ('load', 'notice', 'backups', 'invoke')", name="kind"),
        nullable=False,
    ),
    Column("body", JSONB, nullable=False),
    _instant("created_at", default=True),
    Index("outbox_others_idx", "kind", "id", postgresql_where=text("kind <> 'load'")),
)

relay_state = Table(  # this table always has one row
    "relay_state",
    _internal,
    Column("holder", Text, primary_key=True),  # the invocation of the relay that may send messages
    Column("leased_until", DateTime(timezone=True), nullable=False, server_default=text("'-infinity'")),
    Column("dead_letters", BigInteger),  # the depth of the queue when the relay last measured it
    _instant("measured_at"),
)

late_backups = Table(  # this table always has one row
    "late_backups",
    _internal,
    Column("noticed", Boolean, primary_key=True),  # whether a notice about the present episode was written
    _instant("since"),  # when a sweep first saw that backups are late; NULL while they are in time
)

dataset_state = Table(
    "dataset_state",
    _internal,
    Column("dataset", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),  # triggers increase it with every change
    Column("last_id", Integer, nullable=False, server_default=text("0")),  # the largest id that was ever assigned
)

quarterly_hires = Table(
    "quarterly_hires",
    _internal,
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("department_id", Integer, primary_key=True, autoincrement=False),
    Column("job_id", Integer, primary_key=True, autoincrement=False),
    *(Column(f"q{quarter}", Integer, nullable=False, server_default=text("0")) for quarter in range(1, 5)),
)


def with_datasets(datasets: Iterable[dataset.Dataset]) -> MetaData:
    """Return the internal tables and the tables of these datasets. Raises InvalidDeclaration if an internal table has
    the name of a dataset."""
    every = MetaData(naming_convention=_NAMES)
    for table in _internal.tables.values():
        table.to_metadata(every)
    for declared in datasets:
        if declared.name in every.tables or declared.name == "alembic_version":
            raise InvalidDeclaration(
                f"{declared.name} cannot be the name of a dataset, because Hireflow has a table of its own with this"
                " name: choose another name"
            )
        Table(declared.name, every, *(_column(column) for column in declared.columns))
    return every


metadata = with_datasets(DATASETS.values())
