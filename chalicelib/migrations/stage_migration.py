"""Migrates the database of a stage, with the settings in the environment of the Lambda function."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from chalicelib.core import setting_kinds
from chalicelib.core.errors import ConfigurationError
from chalicelib.core.settings import Settings
from chalicelib.migrations.migrate import upgrade
from chalicelib.services import database_url

_API_URL = setting_kinds.url("https", "http")


@dataclass(frozen=True)
class Order:
    """The event with which the deployment invokes the migration. Both texts may be empty.

    `owner_password` is the password of the database owner. The deployment passes it only if the function cannot reach
    Secrets Manager. `api_url` is the address of the API, which only the deployment knows.
    """

    owner_password: str = field(default="", repr=False)
    api_url: str = ""

    @classmethod
    def of(cls, event: object) -> "Order":
        """Convert an event with the members `owner_password` and `api_url`. Raises ConfigurationError, whose text
        contains no password."""
        given = {} if event is None else event
        if not isinstance(given, dict):
            raise ConfigurationError("the event of the migration must be a JSON object")
        if unknown := sorted(set(given) - {"owner_password", "api_url"}):
            raise ConfigurationError(f"the event of the migration has the unknown members {', '.join(unknown)}")
        for name, value in given.items():
            if not isinstance(value, str) or not value:
                raise ConfigurationError(f"the member {name} of the migration's event must be a text that is not empty")
        order = cls(**given)
        try:
            _API_URL.read(order.api_url or "https://none")
        except ValueError:
            raise ConfigurationError(f"api_url={order.api_url[:80]} is not {_API_URL.allowed}") from None
        return order


def migrate_stage(env: Mapping[str, str], event: object = None) -> dict[str, object]:
    """Upgrade the schema as the database owner, and grant the rights of the functions' role.

    For this function, DATABASE_URL or DATABASE_SECRET is the login of the database owner. The event may have the
    password of DATABASE_URL (see Order). APP_DATABASE_URL or APP_DATABASE_SECRET is the login of the functions' role.
    An APP_DATABASE_URL without a password stands for logins with IAM tokens. Behind a proxy, the role has a password,
    with which the proxy logs in, although the functions log in to the proxy with tokens.

    Returns {"revision", "notes"}: the notes are sentences about what the database owner may not change. Raises
    ConfigurationError.
    """
    order, settings = Order.of(event), Settings.from_env(env)
    app = {
        "DATABASE_URL": settings.app_database_url,
        "DATABASE_SECRET": settings.app_database_secret,
        "DATABASE_IAM": "off",
    }
    app_url = database_url(Settings.from_env({**env, **app}))()
    migrated = upgrade(
        _owner_url(settings, order.owner_password),
        tls=settings.database_tls,
        ca=settings.database_ca,
        app_url=app_url,
        connections=settings.database_connections,
        api_url=order.api_url,
    )
    return {"revision": migrated.revision, "notes": list(migrated.notes)}


def _owner_url(settings: Settings, password: str) -> str:
    """Return the URL of the database owner. A given password takes precedence over an IAM token."""
    if not password:
        return database_url(settings)()
    parts = urlsplit(settings.database_url)
    if not parts.username:
        raise ConfigurationError("the event of the migration has an owner_password, but DATABASE_URL has no user")
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username}:{quote(password, safe='')}@{host}").geturl()
