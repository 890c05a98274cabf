"""Determines the parameters of a stage's stacks, and the logins and the network of its functions, from its profile, its
settings and the outputs of its stacks.

All functions raise KeyError if they need an output of a stack that does not exist yet.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from infra.aws.composition import PROXY
from infra.aws.profiles import EXISTING, PROFILES, STANDARD, Profile
from infra.deploy.logins import Logins
from infra.deploy.target import Vpc
from infra.errors import CloudError
from infra.local import provision
from infra.settings.chosen import Chosen

_OWNER, _FUNCTIONS = "hireflow", "hireflow_app"  # the names of Postgres roles in infra/aws/templates
_IAM = {"DATABASE_IAM": "on"}
Outputs = Mapping[str, str]


def profile_of(chosen: Chosen) -> Profile:
    """Return the profile of a stage. Without the setting PROFILE, it is `existing` if there is a DATABASE_URL, else
    `standard`."""
    own = EXISTING if chosen.given("DATABASE_URL") else STANDARD
    return PROFILES[chosen.text("PROFILE")] if chosen.given("PROFILE") else own


def own_parameters(source: Path, stage: str) -> dict[str, dict[str, str]]:
    """Return the parameters that users have written into the file of a stage, by stack."""
    path = source / "infra" / "aws" / "parameters" / f"{stage}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def connections(chosen: Chosen) -> str:
    """Return the limit of the functions' connections. Its default fits the profile's database."""
    given = chosen.given("DATABASE_CONNECTIONS")
    return str(chosen.read("DATABASE_CONNECTIONS") if given else profile_of(chosen).connections)


def of_database(outputs: Outputs, chosen: Chosen) -> dict[str, str]:
    """Return the computed parameters of the stack of a database."""
    network = {name: outputs[name] for name in ("VpcId", "PrivateSubnetIds", "FunctionsSecurityGroupId")}
    snapshot = chosen.text("DATABASE_SNAPSHOT")
    return {**network, **({"SnapshotIdentifier": snapshot} if snapshot else {})}


def of_operations(chosen: Chosen) -> dict[str, str]:
    """Return the computed parameters of the stack `operations`."""
    return {
        "DatabaseConnections": connections(chosen),
        "NoticeEmail": chosen.text("NOTICE_EMAIL"),
        "NoticeWebhook": chosen.text("NOTICE_WEBHOOK"),
    }


def of_storage(chosen: Chosen, own: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the computed parameters of the stack `storage`.

    Raises CloudError if the user's own parameters contain a retention of reject files. This retention could differ from
    the setting REJECT_RETENTION_DAYS, by which the functions delete these files.
    """
    if "ErroredDays" in own.get("storage", {}):
        days = own["storage"]["ErroredDays"]
        raise CloudError(f"remove ErroredDays from the parameters of the stage, and set REJECT_RETENTION_DAYS={days}")
    return {"ErroredDays": str(math.ceil(chosen.read("REJECT_RETENTION_DAYS").total_seconds() / 86_400))}


def through_proxy(profile: Profile, own: Mapping[str, Mapping[str, str]]) -> bool:
    given = {**profile.parameters_of("database"), **own.get("database", {})}
    return profile.database == "aurora" and given.get(PROXY) == "true"


def vpc(profile: Profile, outputs: Outputs, *, proxy: bool) -> Vpc | None:
    """Return the network of the functions, and the database roles for logins by IAM. Return None for your own
    Postgres."""
    if profile.database == "own":
        return None
    subnets, groups = tuple(outputs["PrivateSubnetIds"].split(",")), (outputs["FunctionsSecurityGroupId"],)
    if proxy:
        return Vpc(subnets, groups, outputs["ProxyResourceId"], _OWNER, _FUNCTIONS)
    name = "ClusterResourceId" if profile.database == "aurora" else "InstanceResourceId"
    return Vpc(subnets, groups, outputs[name], "", _FUNCTIONS)


def logins(stage: str, profile: Profile, outputs: Outputs, chosen: Chosen, *, proxy: bool) -> Logins:
    """Return how the functions and the migration log in.

    The proxy accepts IAM tokens from both. Without a proxy, the database accepts a token from the functions, but only
    the password from its owner. The deployer passes this password to the migration (driver.migrate).
    """
    if profile.database == "own":
        url = chosen.text("DATABASE_URL")
        return Logins.of(stage, url, provision.functions_url(url))
    if proxy:
        host = outputs["ProxyEndpoint"]
        app = {"APP_DATABASE_SECRET": outputs["FunctionsSecretArn"], **_IAM}
    else:
        host = outputs["ClusterEndpoint" if profile.database == "aurora" else "InstanceEndpoint"]
        app = {"APP_DATABASE_URL": _url(_FUNCTIONS, host, outputs), "DATABASE_IAM": "off"}
    functions = {"DATABASE_URL": _url(_FUNCTIONS, host, outputs), **_IAM}
    return Logins(functions, {"DATABASE_URL": _url(_OWNER, host, outputs), **app}, {})


def _url(user: str, host: str, outputs: Outputs) -> str:
    return f"postgresql+pg8000://{user}@{host}:5432/{quote(outputs['DatabaseName'])}"
