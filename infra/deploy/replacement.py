"""Replaces the database of a stage whose profile changes to another kind of database.

The new, empty database is created beside the old one. The old database is deleted when the functions work with the new
one.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from cli.errors import CommandError
from cli.functions import scheduled_event
from infra.aws.profiles import PART_OF, Kind, Profile
from infra.deploy import driver, memory
from infra.deploy.target import Target
from infra.errors import CloudError
from infra.locks import attempts

_KINDS: Mapping[Kind, str] = {"aurora": "Aurora", "instance": "an RDS instance", "own": "your own Postgres"}
_ENDPOINTS: Mapping[Kind, tuple[str, ...]] = {
    "aurora": ("ProxyEndpoint", "ClusterEndpoint"),
    "instance": ("InstanceEndpoint",),
}
_BUSY = 120  # seconds to wait until another backup ends
Stacks = Mapping[str, Mapping[str, str]]  # the outputs of the stacks, by part


def deployed_kind(target: Target, stacks: Stacks) -> Kind | None:
    """Return the kind of the database that the deployed functions use. Return None if there are no functions, or if
    their database no longer exists."""
    variables = memory.variables(target)
    if variables.get("DATABASE_SECRET"):
        return "own"
    host = urlsplit(variables.get("DATABASE_URL", "")).hostname
    for kind, names in _ENDPOINTS.items():
        outputs = stacks.get(PART_OF[kind], {})
        if host and host in {outputs.get(name) for name in names}:
            return kind
    return None


def refusal(stage: str, old: Kind, new: Profile) -> str:
    """Return why `make deploy` does not replace a database without confirmation."""
    return (
        f"nothing was changed: PROFILE={new.name} replaces the database of stage {stage} ({_KINDS[old]}) by an empty"
        f" one: read make plan STAGE={stage}, then add YES={stage} to confirm it"
    )


def wrong_snapshot(stage: str, used: str) -> str:
    """Return why DATABASE_SNAPSHOT cannot be changed on a stage that has a database."""
    made = f"was created from the snapshot {used}" if used else "was not created from a snapshot"
    remedy = f"set DATABASE_SNAPSHOT={used}" if used else "leave DATABASE_SNAPSHOT out, with RESET=DATABASE_SNAPSHOT"
    return (
        f"nothing was changed: the database of stage {stage} {made}, and another value would replace it: {remedy}; only"
        " a new stage can be created from another snapshot"
    )


def warnings(stage: str, old: Kind, new: Profile) -> Iterator[str]:
    """Yield the lines that a plan shows if the deployment replaces the database."""
    yield f"THE DATABASE IS REPLACED BY AN EMPTY ONE ({_KINDS[old]} -> {_KINDS[new.database]})"
    yield "TOKENS, THE HISTORY OF LOADS AND REJECTS, AND ROWS THAT WAIT FOR THEIR DEPARTMENT OR JOB ARE LOST"
    yield "FILES THAT ARRIVE DURING THE CHANGE MAY HAVE TO BE LOADED AGAIN"
    yield "the rows of the tables can be restored: the deployment makes a restore point before it changes anything"
    kept = "your own Postgres is left as it is" if old == "own" else "a final snapshot of the old database is kept"
    yield f"{kept}; make deploy needs YES={stage} for this change"


def last_restore_point(target: Target) -> str:
    """Make a restore point with the deployed functions, and return its name. Raises CloudError if this fails."""
    event = scheduled_event(target.aws["AWS_DEFAULT_REGION"])
    try:
        for again in attempts(_BUSY):
            try:
                return _restore_point(driver.invoke(target, "backup", event))
            except _BusyError:
                again()
    except (CommandError, _BusyError) as error:
        raise CloudError(
            f"the database was not replaced, because no last restore point can be made: {error}"
        ) from error
    raise AssertionError


class _BusyError(Exception):
    """Another backup is running."""


def _restore_point(run: Mapping[str, Any]) -> str:
    if not run["restore_point"]:
        raise _BusyError("another backup does not end")
    return str(run["restore_point"])


def advice(stage: str, point: str | None) -> Iterator[str]:
    """Yield the lines that say how to restore the rows after the database was replaced."""
    yield f"the new database is empty: create a token with make token ROLE=operator NOTE=me STAGE={stage}, set it as"
    named = f" --point {point}" if point else " --point NAME, with a name that ./hireflow backups lists"
    yield f"API_TOKEN, and restore the rows with STAGE={stage} ./hireflow restore all{named}"


def network_for_both(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a network that serves both the old and the new functions of a stage.

    `old` are the outputs of the present network, and are empty if there is none. A network of a release without
    profiles has all endpoints.
    """
    if not old:
        return dict(new)
    zones = max(old.get("EndpointZones", "2"), new["EndpointZones"])
    secrets = "true" if "true" in (old.get("SecretsEndpoint", "true"), new["SecretsEndpoint"]) else "false"
    return {**new, "EndpointZones": zones, "SecretsEndpoint": secrets}
