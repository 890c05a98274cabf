"""How a function logs in to the database: a URL, made of what its settings and its secret say."""

import json
from collections.abc import Callable
from urllib.parse import quote, unquote, urlsplit

from chalicelib.core.errors import ConfigurationError
from chalicelib.core.settings import Settings

Login = Callable[[], str]
_PORT = 5432


def database_login(settings: Settings, secret: Callable[[str], str], token: Callable[[str, int, str], str]) -> Login:
    """Tells the URL anew for every connection: a secret may be rotated, a token ends after 15 minutes.

    `secret` reads a secret by its name, `token` signs one of IAM for host, port and user.
    """

    def login() -> str:
        url = settings.database_url or url_of(
            secret(settings.database_secret), settings.database_host, settings.database_name
        )
        return with_token(url, token) if settings.database_iam else url

    return login


def url_of(secret: str, host: str = "", database: str = "") -> str:
    """The URL that a secret tells: one of ours is a URL, one of RDS a JSON object.

    RDS writes `username` and `password`, in secrets that it manages itself nothing else; those made for rotation
    also name `host`, `port` and `dbname`. `host` (`name` or `name:port`) and `database` go before these. Raises
    ConfigurationError, without a word of the secret.
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
        raise ConfigurationError("the secret of the database is neither a URL nor a login as RDS writes it") from None
    user, password, database = (quote(part, safe="") for part in (user, password, database))
    return f"postgresql+pg8000://{user}:{password}@{name}:{number}/{database}"


def with_token(url: str, token: Callable[[str, int, str], str]) -> str:
    """The URL with a token of IAM for its password."""
    parts = urlsplit(url)
    if not parts.hostname or not parts.username:
        raise ConfigurationError("DATABASE_URL names no host or user")
    port = parts.port or _PORT
    password = quote(token(parts.hostname, port, unquote(parts.username)), safe="")
    return f"{parts.scheme}://{parts.username}:{password}@{parts.hostname}:{port}{parts.path}"
