"""Determines how a stage's functions log in to the database."""

from dataclasses import dataclass, field

from infra.deploy.target import APP


@dataclass(frozen=True)
class Logins:
    """The environment variables and secrets with which functions log in.

    `functions` are the variables of all functions. `migration` are the variables that replace or extend them in the
    function `migrate`. `secrets` are the values that Secrets Manager has to hold, by the names of the secrets.
    """

    functions: dict[str, str] = field(repr=False)
    migration: dict[str, str] = field(repr=False)
    secrets: dict[str, str] = field(repr=False)

    @classmethod
    def of(cls, stage: str, owner_url: str, functions_url: str) -> "Logins":
        """Return the logins for two database URLs. Only the migration logs in as the owner of the schema.

        On stage local, the functions' environment holds the URLs. On other stages, more people can read this
        environment than may know a password, so Secrets Manager holds the URLs.
        """
        if stage == "local":
            functions = {"DATABASE_URL": functions_url}
            return cls(functions, {"DATABASE_URL": owner_url, "APP_DATABASE_URL": functions_url}, {})
        owner, app = owner_secret(stage), f"{APP}-{stage}-database"
        return cls(
            {"DATABASE_SECRET": app},
            {"DATABASE_SECRET": owner, "APP_DATABASE_SECRET": app},
            {owner: owner_url, app: functions_url},
        )


def owner_secret(stage: str) -> str:
    """Return the name of the secret that holds the database owner's URL, if the user has their own database."""
    return f"{APP}-{stage}-database-owner"
