"""Converts the errors of Postgres to our own errors. If the database cannot serve requests, the text of the new error
says why."""

from chalicelib.core import deadline
from chalicelib.core.errors import Conflict, DatabaseUnavailable, LockTimeout, OutOfTime, TooManyConnections

CANNOT_SERVE = "the database cannot serve requests now"
READ_ONLY = "the database is read-only now"
_FULL = "53300"
# The type of a column was changed, and the connection keeps the plan of a trigger for the former type. Only another
# connection makes a new plan.
_OTHER_TYPES = "42804"
# The first characters of the SQLSTATEs that a server sends if it cannot process statements now. The SQLSTATE 25006
# comes from a primary that became a read-only standby.
_AWAY = ("08", "53", "57P", "58", "XX", "25006", _OTHER_TYPES)
# Maps the first characters of an SQLSTATE to a sentence that says what is wrong. The first entry that fits counts.
_SENTENCES = {
    "53100": "the disk of the database is full",
    "53200": "the database is out of memory",
    _FULL: "the database accepts no more connections now",
    "25006": READ_ONLY,
    "57P01": "the database is being shut down",
    "57P02": "the database has crashed and is restarting",
    "57P03": "the database is starting or being shut down",
    "58": "the database cannot read or write one of its files",
    "XX001": "a file of the database is damaged",
    "XX002": "an index of the database is damaged",
    _OTHER_TYPES: "the type of a column was changed",
    "28": "the database refused the login of the functions",
    "3D": "the server does not have this database",
}


def translated(error: Exception) -> Exception:
    """Return our own error for an error that the server sent during a statement. If a retry cannot help, because of a
    bug or a violated constraint, return the error of the server without the values that it quotes."""
    state = sqlstate(error)
    if state == "57014" and deadline.limited():
        return OutOfTime("the database did not finish in time")
    if state in ("55P03", "57014"):
        return LockTimeout("the table is busy with another load")
    if state in ("40001", "40P01"):
        return Conflict("the change conflicted with a concurrent change")
    if is_outdated(error):
        return Conflict("the tables were changed by a migration")
    if state.startswith(_AWAY):
        return _unavailable(state, CANNOT_SERVE)
    return _without_values(error)


def refused(error: Exception) -> DatabaseUnavailable:
    """Return our own error for an error that occurred while a connection was opened: TooManyConnections if the server
    has no room for another connection, otherwise DatabaseUnavailable."""
    reason = "does not respond" if _is_timeout(error) else "refused the connection"
    return _unavailable(sqlstate(error), f"the database {reason}")


def _is_timeout(error: BaseException | None) -> bool:
    """Return whether an exception, or one that led to it, is a timeout."""
    while error is not None and not isinstance(error, TimeoutError):
        error = error.__cause__ or error.__context__
    return error is not None


def is_outdated(error: Exception) -> bool:
    """Return whether Postgres can no longer run a statement that it has prepared. Either a table was changed so that
    the result would have other types, or somebody has discarded the statement."""
    state = sqlstate(error)
    if state == "0A000":  # also the code of features that Postgres lacks; the routine is the same in each language
        return _field(error, "R") == "RevalidateCachedQuery"
    return state == "26000"


def is_of_a_statement(error: BaseException | None) -> bool:
    """Return whether the server has sent this error because a statement failed. Then the server has not committed, also
    if the statement was COMMIT. If the server ends the connection, the severity of its error is FATAL."""
    return isinstance(error, Exception) and _field(error, "V") == "ERROR"


def sqlstate(error: Exception) -> str:
    """Return the five-character SQLSTATE of a driver error, or an empty string."""
    return _field(error, "C")


def _field(error: Exception, name: str) -> str:
    """Return a field of the message of an error that the server sent, or an empty string."""
    info = error.args[0] if error.args else None
    return str(info.get(name, "")) if isinstance(info, dict) else ""


def _unavailable(state: str, otherwise: str) -> DatabaseUnavailable:
    sentence = next((text for prefix, text in _SENTENCES.items() if state.startswith(prefix)), otherwise)
    return TooManyConnections(sentence) if state == _FULL else DatabaseUnavailable(sentence)


def _without_values(error: Exception) -> Exception:
    """Remove the quoted values from a Postgres error, because the error may reach the logs."""
    fields = error.args[0] if error.args else None
    if isinstance(fields, dict):
        quoting = {"D", "W", "H", "q"} | ({"M"} if sqlstate(error).startswith("22") else set())
        error.args = ({name: text for name, text in fields.items() if name not in quoting},)
    return error
