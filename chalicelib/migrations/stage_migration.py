"""Migrates the database of a stage, with the settings in the environment of the Lambda function."""

from collections.abc import Mapping

from chalicelib.core.settings import Settings
from chalicelib.migrations.migrate import upgrade
from chalicelib.services import database_url


def migrate_stage(env: Mapping[str, str], event: Mapping[str, str] | None = None) -> dict[str, str]:
    """Upgrade the schema as the database owner, and grant the rights of the functions' role.

    For this function, DATABASE_URL or DATABASE_SECRET is the login of the database owner. APP_DATABASE_URL or
    APP_DATABASE_SECRET is the login of the functions' role. This role has a password even if the functions log in with
    an IAM token. `event` may have the URL of the API as `api_url`. Returns {"revision": …}. Raises ConfigurationError.
    """
    settings = Settings.from_env(env)
    app = {
        "DATABASE_URL": settings.app_database_url,
        "DATABASE_SECRET": settings.app_database_secret,
        "DATABASE_IAM": "off",
    }
    app_url = database_url(Settings.from_env({**env, **app}))()
    revision = upgrade(
        database_url(settings)(),
        tls=settings.database_tls,
        ca=settings.database_ca,
        app_url=app_url,
        connections=settings.database_connections,
        api_url=(event or {}).get("api_url", ""),
    )
    return {"revision": revision}
