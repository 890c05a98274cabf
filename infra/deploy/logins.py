"""How a stage's functions log in to the database."""

from dataclasses import dataclass, field

from infra.deploy.target import APP


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
        owner, app = owner_secret(stage), f"{APP}-{stage}-database"
        return cls(
            {"DATABASE_SECRET": app},
            {"DATABASE_SECRET": owner, "APP_DATABASE_SECRET": app},
            {owner: owner_url, app: functions_url},
        )


def owner_secret(stage: str) -> str:
    """The secret with the URL of a database that was given: its owner's."""
    return f"{APP}-{stage}-database-owner"
