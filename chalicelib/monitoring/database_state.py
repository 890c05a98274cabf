"""Finds out whether the database can serve requests, and if not, why."""

from dataclasses import dataclass

from chalicelib.cloud.database import Database
from chalicelib.cloud.database_errors import READ_ONLY
from chalicelib.core import deadline
from chalicelib.core.errors import HireflowError

SECONDS = 4.0  # the longest time that the examination takes
# A response to a ping does not show that the disk has space. The rows of this statement do not fit into the memory that
# it may use, so Postgres writes them to a temporary file. This takes some milliseconds, and changes no table.
_WRITE_A_FILE = "SET LOCAL work_mem = '64kB'; SELECT count(*) FROM generate_series(1, 10000)"


@dataclass(frozen=True)
class DatabaseState:
    """The state of the database. `problem` says why the database cannot serve requests, and is None if the database
    works. If `answers` is true, the database runs statements, so at least some reads work."""

    problem: str | None = None
    answers: bool = True


def examine(database: Database) -> DatabaseState:
    """Return the state of the database after at most SECONDS seconds."""
    answers = False
    try:
        with deadline.within(SECONDS), database.session() as session:
            answers = True
            is_read_only = session.scalar("SHOW transaction_read_only") == "on"
            if not is_read_only:
                session.run(_WRITE_A_FILE)
    except HireflowError as error:
        return DatabaseState(error.detail, answers)
    return DatabaseState(READ_ONLY if is_read_only else None)
