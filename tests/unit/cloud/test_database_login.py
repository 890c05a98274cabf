"""Tests how the database URL is built from the settings and from both forms of secrets."""

import json
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.cloud import secrets
from chalicelib.cloud.database_login import database_login, url_of, with_token
from chalicelib.core.errors import ConfigurationError
from chalicelib.core.settings import Settings
from tests.unit.core.test_settings import COMPLETE

URL = "postgresql+pg8000://app:s%7Bcret@db:5432/hireflow"
RDS = {"engine": "postgres", "host": "cluster", "port": 5433, "dbname": "hireflow", "username": "app", "password": "p"}
MANAGED = {"username": "app", "password": "p"}


def settings(**env: str) -> Settings:
    return Settings.from_env({**COMPLETE, "DATABASE_URL": "", "DATABASE_SECRET": "a", **env})


def test_a_secret_may_be_the_url_itself() -> None:
    assert url_of(URL, "proxy", "other") == URL


@pytest.mark.parametrize(
    ("found", "host", "database", "url"),
    [
        (RDS, "", "", "postgresql+pg8000://app:p@cluster:5433/hireflow"),
        (RDS, "proxy", "", "postgresql+pg8000://app:p@proxy:5432/hireflow"),
        (RDS, "proxy:6000", "other", "postgresql+pg8000://app:p@proxy:6000/other"),
        (MANAGED, "proxy", "hireflow", "postgresql+pg8000://app:p@proxy:5432/hireflow"),
        (MANAGED, "proxy", "", "postgresql+pg8000://app:p@proxy:5432/app"),
    ],
)
def test_a_secret_may_be_a_login_in_the_format_of_rds(
    found: dict[str, Any], host: str, database: str, url: str
) -> None:
    assert url_of(json.dumps(found), host, database) == url


@given(st.text(min_size=1), st.text())
def test_the_url_keeps_any_user_and_password(user: str, password: str) -> None:
    parts = urlsplit(url_of(json.dumps({"username": user, "password": password}), "h", "d"))
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == (user, password)


@pytest.mark.parametrize(
    "text", ["", "s3cret", "[]", "3", '{"password": "s3cret"}', json.dumps(MANAGED | {"port": "s3cret"})]
)
def test_any_other_secret_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        url_of(text)
    assert "s3cret" not in repr(refused.value) + str(refused.value.__context__ if refused.value.__cause__ else "")


def test_a_secret_is_read_and_a_token_signed_for_every_connection() -> None:
    asked: list[tuple[Any, ...]] = []

    def read(name: str) -> str:
        asked.append((name,))
        return json.dumps(MANAGED)

    def sign(*about: Any) -> str:
        asked.append(about)
        return f"token/{len(asked)}?"

    login = database_login(settings(DATABASE_IAM="on", DATABASE_HOST="proxy", DATABASE_NAME="d"), read, sign)
    assert login() == "postgresql+pg8000://app:token%2F2%3F@proxy:5432/d"
    assert login() == "postgresql+pg8000://app:token%2F4%3F@proxy:5432/d"
    assert asked == [("a",), ("proxy", 5432, "app")] * 2


def test_without_iam_no_token_is_signed() -> None:
    def never(*_: Any) -> str:
        raise AssertionError

    assert database_login(settings(DATABASE_URL=URL), never, never)() == URL


def test_a_token_replaces_the_password() -> None:
    url = with_token("postgresql+pg8000://a%20b:old@proxy/d", lambda host, port, user: f"{host} {port} {user}")
    assert url == "postgresql+pg8000://a%20b:proxy%205432%20a%20b@proxy:5432/d"
    with pytest.raises(ConfigurationError):
        with_token("postgresql+pg8000:///d", lambda *_: "")


def test_a_token_is_signed_without_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "DEFAULT_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # the default session keeps its credentials
    secrets._rds.cache_clear()
    token = secrets.token("proxy.example", 5432, "app")
    secrets._rds.cache_clear()
    assert token.startswith("proxy.example:5432/?Action=connect&DBUser=app&X-Amz-Algorithm=AWS4-HMAC-SHA256")
    assert "eu-central-1%2Frds-db%2Faws4_request" in token
    assert "X-Amz-Expires=900" in token
