"""Reserves concurrency of Lambda, so that a burst of requests or events cannot use up the connections of the database.

On AWS, `ingest` and the API get reservations as far as the account's quota allows. On this machine, all functions get
reservations. These depend on the number of cores, so that the machine is not overloaded, and on the connections.

Each running instance of a function holds one connection, unless the function runs outside of the network. A reservation
is also a limit. Events of S3 beyond the limit wait in Lambda's queue. Lambda retries them for six hours, so no attempt
of a load is lost.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.core import shares
from infra.deploy import plan, project
from infra.deploy.policies import deployed_name
from infra.deploy.target import Target

INGEST, API = "ingest", "api_handler"
_FEWEST = {INGEST: 5, API: 20}  # a smaller limit would do more harm than a burst
_LEFT = 100  # Lambda does not reserve the last 100 executions of an account. A new account may have a quota of only 10
_INGEST_OF_CORE, _API_OF_CORE = 2, 8  # workers for each core; a worker waits for the database most of the time
_QUOTA = "Service Quotas L-B99A9384"  # the quota "Concurrent executions" of Lambda


@dataclass(frozen=True)
class Quota:
    """Has the numbers of an account's concurrent executions: all, those that are not reserved, and those that are
    reserved for the functions of our stage."""

    total: int
    unreserved: int
    ours: int

    @property
    def room(self) -> int:
        """Return how many concurrent executions our stage can reserve in all."""
        return max(self.unreserved + self.ours - _LEFT, 0)


def wanted(connections: int, others: int) -> dict[str, int]:
    """Return the reservations for a database with this many connections. `others` is the number of other functions that
    connect to the database.

    All functions together stay below the number of connections. A function without an entry gets no reservation.
    """
    files, api = shares.of_files_and_api(connections, others)
    return {name: number for name, number in ((INGEST, files), (API, api)) if number and files}


def of_machine(connections: int, others: Collection[str], cores: int) -> dict[str, int]:
    """Return the reservations on this machine. `others` are the names of the functions besides `ingest` and the API.

    All functions together stay below the number of connections, if there are enough connections for one instance of
    each function.
    """
    of_others = shares.OF_OTHERS if connections > shares.OF_OTHERS * (len(others) + 2) else 1
    free = max(connections - 1 - of_others * len(others), 2)
    ingest = min(_INGEST_OF_CORE * cores, shares.FILES, free // 2)
    return {INGEST: ingest, API: min(_API_OF_CORE * cores, free - ingest), **dict.fromkeys(others, of_others)}


def affordable(wishes: Mapping[str, int], room: int) -> dict[str, int]:
    """Return the part of the reservations `wishes` for which `room` is enough: the number of executions that the
    account can still reserve. The first wish comes first: `ingest`. A reservation that would be smaller than in _FEWEST
    is left out."""
    given = {}
    for name, number in wishes.items():
        if room >= min(number, _FEWEST[name]):
            given[name] = min(number, room)
            room -= given[name]
    return given


def with_reservations(target: Target, connections: int) -> tuple[Target, tuple[str, ...]]:
    """Return the target with its reservations, and a note if the account's quota leaves too little room for them.

    Reservations in .chalice/config.json stay as they are. `connections` is the setting DATABASE_CONNECTIONS.
    """
    settings = plan.wanted_settings(project.configuration(target), target.stage)
    chosen = {name: number for name, each in settings.items() if (number := each["reserved concurrency"]) is not None}
    quota = quota_of(target.client("lambda"), [deployed_name(target.stage, name) for name in settings])
    wishes = {
        name: number
        for name, number in wanted(connections, len(settings.keys() - {INGEST, API, *target.outside_vpc})).items()
        if name not in chosen
    }
    given = affordable(wishes, quota.room - sum(chosen.values()))
    return replace(target, reserved=given), _notes(wishes, given, quota)


def quota_of(client: Any, functions: Collection[str]) -> Quota:
    """Read the quota of an account with a Lambda client. `functions` are the names that our stage's functions have in
    Lambda."""
    limits = client.get_account_settings()["AccountLimit"]
    ours = sum(_reserved(client, name) for name in functions)
    return Quota(limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"], ours)


def _reserved(client: Any, name: str) -> int:
    try:
        return int(client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions", 0))
    except client.exceptions.ResourceNotFoundException:
        return 0


def _notes(wishes: Mapping[str, int], given: Mapping[str, int], quota: Quota) -> tuple[str, ...]:
    if given == wishes:
        return ()
    return (
        f"only {sum(given.values())} of {sum(wishes.values())} concurrent executions for {' and '.join(wishes)} can be"
        f" reserved, because the account's quota is {quota.total}, so a burst may use up the database's connections:"
        f" ask AWS to raise the quota ({_QUOTA})",
    )
