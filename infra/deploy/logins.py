"""How a stage's functions log in to the database, and whether its callers have to log in to the API."""

import os
from dataclasses import dataclass, field

from infra.deploy.target import APP
from infra.errors import CloudError


@dataclass(frozen=True)
class Logins:
    """Environment variables of all functions, those that the migration has instead, and secrets to keep."""

    functions: dict[str, str] = field(repr=False)
    migration: dict[str, str] = field(repr=False)
    secrets: dict[str, str] = field(repr=False)

    @classmethod
    def of(cls, stage: str, owner_url: str, functions_url: str) -> "Logins":
        """Only the migration is the schema's owner. On one laptop the URLs are in the environment of the
        functions; elsewhere their environment is read by more people than may know a password."""
        if stage == "local":
            functions = {"DATABASE_URL": functions_url}
            return cls(functions, {"DATABASE_URL": owner_url, "APP_DATABASE_URL": functions_url}, {})
        owner, app = f"{APP}-{stage}-database-owner", f"{APP}-{stage}-database"
        return cls(
            {"DATABASE_SECRET": app},
            {"DATABASE_SECRET": owner, "APP_DATABASE_SECRET": app},
            {owner: owner_url, app: functions_url},
        )


def authentication(stage: str) -> bool:
    """Whether requests need a token: HIREFLOW_AUTH, off unless asked for on this machine alone.

    Raises CloudError where another stage would be open to everybody.
    """
    asked = os.environ.get("HIREFLOW_AUTH") or ("off" if stage == "local" else "on")
    if asked not in ("on", "off"):
        raise CloudError("HIREFLOW_AUTH is neither on nor off")
    if asked == "off" and stage != "local":
        raise CloudError(f"HIREFLOW_AUTH=off: stage {stage} is not deployed without authentication")
    return asked == "on"
