"""Builds the database URL with which a function logs in, from the settings and from a secret."""

import json
from collections.abc import Callable
from urllib.parse import quote, unquote, urlsplit

from chalicelib.core.errors import ConfigurationError
from chalicelib.core.settings import Settings

Login = Callable[[], str]
_PORT = 5432


def database_login(settings: Settings, secret: Callable[[str], str], token: Callable[[str, int, str], str]) -> Login:
    """Return a function that builds the URL. This function is called for each new connection, because a secret may be
    rotated between two connections, and a token expires after 15 minutes.

    `secret` reads a secret by its name. `token` signs an IAM token for a host, a port and a user.
    """

    def login() -> str:
        url = settings.database_url or url_of(
            secret(settings.database_secret), settings.database_host, settings.database_name
        )
        return with_token(url, token) if settings.database_iam else url

    return login


def url_of(secret: str, host: str = "", database: str = "") -> str:
    """Return the URL that a secret stands for. The secret is either the URL itself or a JSON object in RDS's format.

    A JSON object has `username` and `password`. Secrets that RDS manages itself have no other members. Secrets that are
    made for rotation also have `host`, `port` and `dbname`. The arguments `host` (`name` or `name:port`) and `database`
    take precedence over these members. Raises ConfigurationError with a message that does not quote the secret.
    """
    if "://" in secret.partition("{")[0]:
        return secret
    try:
        login = dict(json.loads(secret))
        user, password = str(login["username"]), str(login["password"])
        name, _, port = (host or f"{login['host']}:{login.get('port') or _PORT}").partition(":")
        database = database or str(login.get("dbname") or user)
        number = int(port or _PORT)
    except (ValueError, TypeError, KeyError):
        raise ConfigurationError("the database secret is neither a URL nor a JSON object in RDS's format") from None
    user, password, database = (quote(part, safe="") for part in (user, password, database))
    return f"postgresql+pg8000://{user}:{password}@{name}:{number}/{database}"


def with_token(url: str, token: Callable[[str, int, str], str]) -> str:
    """Return the URL with an IAM token as its password."""
    parts = urlsplit(url)
    if not parts.hostname or not parts.username:
        raise ConfigurationError("DATABASE_URL has no host or no user")
    port = parts.port or _PORT
    password = quote(token(parts.hostname, port, unquote(parts.username)), safe="")
    return f"{parts.scheme}://{parts.username}:{password}@{parts.hostname}:{port}{parts.path}"
