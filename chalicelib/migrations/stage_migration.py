"""The migration of a stage, with what its function finds in its environment."""

from collections.abc import Mapping

from chalicelib.core.settings import Settings
from chalicelib.migrations.migrate import upgrade
from chalicelib.services import database_url


def migrate_stage(env: Mapping[str, str]) -> dict[str, str]:
    """Bring the schema up to date as its owner, and admit the role of the functions.

    DATABASE_URL or DATABASE_SECRET are the owner's here, APP_DATABASE_URL or APP_DATABASE_SECRET the
    functions', who have a password of their own even where they log in with a token. Returns {"revision": …}.
    Raises ConfigurationError.
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
