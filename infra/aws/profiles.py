"""Declares the profiles of a stage on AWS: what AWS runs for the stage, and so what the stage costs.

A profile's declaration decides its stacks, their parameters, the functions' logins, the costs in `make plan`, and the
table in docs/aws.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from infra.aws.composition import PROXY

Kind = Literal["aurora", "instance", "own"]
# The stack of each kind of database. The two stacks have no name in common, so both can exist during a change.
PART_OF: Mapping[Kind, str] = {"aurora": "database", "instance": "instance"}


@dataclass(frozen=True)
class Profile:
    """One way to run a stage.

    `database` says who runs the database, and how. `parameters` are those of the stacks, by part; a stage's own
    parameters take precedence. `connections` is the default of DATABASE_CONNECTIONS. With `relay`, functions reach only
    S3 and Postgres, and a function outside the VPC makes all other calls. `about` and `lacks` are texts for users.
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
    "a service on which others depend: another zone takes over within a minute, and the database grows with its load",
    "nothing",
    parameters={
        "network": {"EndpointZones": "2", "SecretsEndpoint": "true"},
        "database": {PROXY: "true", "Standby": "true"},
    },
)
SMALL = Profile(
    "small",
    "aurora",
    "a company whose users can wait some ten minutes if a zone fails; the database grows with its load",
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
    "a trial, or a few files a day: one small instance, which is away while AWS maintains or replaces it",
    "a standby, the proxy, endpoints (calls of other services take up to a minute), and a database that grows",
    connections=50,
    relay=True,
    parameters={"network": {"EndpointZones": "0", "SecretsEndpoint": "false"}},
)
EXISTING = Profile(
    "existing",
    "own",
    "a company that already runs a Postgres, which functions reach over the internet with TLS",
    "a network of its own, and alarms about the database",
)
PROFILES: Mapping[str, Profile] = {each.name: each for each in (STANDARD, SMALL, TINY, EXISTING)}


def replaces_database(old: Kind | None, new: Profile) -> bool:
    """Return whether a stage whose functions use a database of kind `old` would get another, empty database."""
    return old is not None and old != new.database


def changes(old: Mapping[str, str], new: Profile) -> list[str]:
    """Return what a change of the profile adds and removes, in capitals. `old` are outputs of the present stack of
    Aurora; without them nothing changes in this respect."""
    if new.database != "aurora" or not old:
        return []
    had, has = "ProxyEndpoint" in old, new.parameters_of("database")[PROXY] == "true"
    if had == has:
        return []
    what = "THE PROXY AND THE STANDBY COME" if has else "THE PROXY AND THE STANDBY GO"
    return [f"{what}. ALL DATA STAY. REQUESTS GET 503 UNTIL THE DEPLOYMENT HAS ENDED, AND EVENTS ARE RETRIED"]
