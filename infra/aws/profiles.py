"""Declares the profiles. A profile says what AWS runs for a stage, and so what the stage costs.

The declaration of a profile decides these things: the stacks and their parameters, the logins of the functions, the
costs in `make plan`, and the tables in docs/aws.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from infra.aws.composition import PROXY

Kind = Literal["aurora", "instance", "own"]
# The stack of each kind of database. The two stacks give their resources different names. So both stacks can exist at
# the same time while the profile changes.
PART_OF: Mapping[Kind, str] = {"aurora": "database", "instance": "instance"}


@dataclass(frozen=True)
class Profile:
    """One way to run a stage.

    `database` is the kind of the database. `parameters` are the parameters of the stacks, by part; the stage's own
    parameters take precedence. `connections` is the default of DATABASE_CONNECTIONS. If `relay` is true, the functions
    in the VPC reach only S3 and Postgres, and the function `relay` outside of the VPC calls all other services for
    them. `about` and `lacks` are texts for users.
    """

    name: str
    database: Kind
    about: str
    lacks: str
    connections: int = 100  # Aurora derives its own limit from MaxCapacity; with 8 ACU, it is above a thousand
    relay: bool = False
    parameters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the stacks, each after the stacks whose outputs it needs."""
        database = () if self.database == "own" else ("network", PART_OF[self.database])
        return "storage", *database, "operations", "queries"

    def parameters_of(self, part: str) -> dict[str, str]:
        watched = {"Database": self.database} if part == "operations" else {}
        return {**watched, **self.parameters.get(part, {})}


STANDARD = Profile(
    "standard",
    "aurora",
    "a service that other people or programs depend on: if a zone fails, the database continues in another zone within"
    " a minute; the database scales with its load",
    "nothing",
    parameters={
        "network": {"EndpointZones": "2", "SecretsEndpoint": "true"},
        "database": {PROXY: "true", "Standby": "true"},
    },
)
SMALL = Profile(
    "small",
    "aurora",
    "a company whose users can wait about ten minutes if a zone fails; the database scales with its load",
    "a standby, the proxy, and endpoints in a second zone",
    parameters={
        "network": {"EndpointZones": "1", "SecretsEndpoint": "false"},
        "database": {PROXY: "false", "Standby": "false"},
    },
)
# A db.t4g.micro has 1 GiB of memory. By the default of RDS, DBInstanceClassMemory / 9531392, this gives some 80
# connections (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html, read in 2026-11). Five of them
# are reserved for superusers. With 50 for the functions, some 25 are left for RDS, the migration and operators.
TINY = Profile(
    "tiny",
    "instance",
    "a trial, or a few files a day: one small database instance, which is unavailable while AWS maintains or replaces"
    " it",
    "a standby, the proxy, endpoints of AWS services (so work that needs these services starts up to a minute later),"
    " and a database that scales",
    connections=50,
    relay=True,
    parameters={"network": {"EndpointZones": "0", "SecretsEndpoint": "false"}},
)
EXISTING = Profile(
    "existing",
    "own",
    "a company that already runs a Postgres, which the functions can reach over the internet with TLS",
    "a network of its own, and alarms about the database",
)
PROFILES: Mapping[str, Profile] = {each.name: each for each in (STANDARD, SMALL, TINY, EXISTING)}


def replaces_database(old: Kind | None, new: Profile) -> bool:
    """Return whether the new profile would give a stage an empty database instead of its database of the kind `old`."""
    return old is not None and old != new.database


def changes(old: Mapping[str, str], new: Profile) -> list[str]:
    """Return the text of a plan, in capitals, if the change of the profile adds or removes the proxy and the standby.

    `old` are the outputs of the present stack of Aurora. They are empty if there is no such stack.
    """
    if new.database != "aurora" or not old:
        return []
    had, has = "ProxyEndpoint" in old, new.parameters_of("database")[PROXY] == "true"
    if had == has:
        return []
    what = "THE PROXY AND THE STANDBY ARE ADDED" if has else "THE PROXY AND THE STANDBY ARE REMOVED"
    return [f"{what}. ALL DATA STAY. REQUESTS GET 503 UNTIL THE DEPLOYMENT HAS ENDED, AND EVENTS ARE RETRIED"]
