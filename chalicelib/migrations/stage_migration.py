"""The migration of a stage, with the settings in the environment of its Lambda function."""

from collections.abc import Mapping

from chalicelib.core.settings import Settings
from chalicelib.migrations.migrate import upgrade
from chalicelib.services import database_url


def migrate_stage(env: Mapping[str, str]) -> dict[str, str]:
    """Upgrade the schema as its owner, and grant the rights of the functions' role.

    Here, DATABASE_URL or DATABASE_SECRET are those of the owner. APP_DATABASE_URL or APP_DATABASE_SECRET are those of
    the functions' role, which has its own password even if the functions log in with an IAM token. Returns
    {"revision": …}. Raises ConfigurationError.
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
    )
    return {"revision": revision}
