"""Says what a connection to the database is for: the API, files or schedules.

The purposes share the connections of one database role. A burst of requests must not take the connections that files
and schedules need. So the API uses at most its share of the connections. Further requests get 503, because clients
can repeat a request. Files and schedules wait until a connection is free, because each failed attempt brings a load
closer to the dead-letter queue. Postgres shows the purpose of a connection as its `application_name`.
"""

from dataclasses import dataclass

from chalicelib.core import shares

_APP = "hireflow"
_INGEST = "ingest"
_LONG = {"backup", "sweep", "redrive"}  # functions that have at least five minutes
_PATIENCE, _SHORT_PATIENCE = 60.0, 10.0  # seconds
_TRUST = 1.0  # seconds; so a busy API sends few pings, which would make short requests noticeably slower


@dataclass(frozen=True)
class Purpose:
    """Says how connections are used. `name` is their `application_name`. `patience` is the time in seconds to wait for
    a connection if the server has no room for another one. `share` is the largest number of connections with this name;
    None means that there is no limit. For `trust` seconds after a response, a connection is used without a ping. If
    `prepares` is true, Postgres keeps the statements that a connection sends often. If `skips_row_triggers` is true,
    the triggers of foreign keys are off: each transaction must check all references itself. Whenever they are switched,
    Postgres discards all plans of the connection, so to switch them for each load would take longer."""

    name: str = _APP
    patience: float = 0.0
    share: int | None = None
    trust: float = 0.0
    prepares: bool = False
    skips_row_triggers: bool = False


ANY = Purpose()


def of_function(deployed: str, stage: str, connections: int) -> Purpose:
    """Return the purpose of a function from its deployed name. `connections` is the number of connections that all
    functions of the stage together may have. A process that is not a function serves the API."""
    _, _, function = deployed.removeprefix(f"{_APP}-{stage}").partition("-")
    if not function:
        return Purpose(f"{_APP} api", share=shares.of_api(connections), trust=_TRUST, prepares=True)
    if function == _INGEST:
        return Purpose(f"{_APP} files", _PATIENCE, prepares=True, skips_row_triggers=True)
    return Purpose(f"{_APP} schedules", _PATIENCE if function in _LONG else _SHORT_PATIENCE)
