"""Calls the API inside the test process, without a server. Postgres is real, and S3 is the fixture `s3`. Every response
is compared with the OpenAPI document."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from chalice.test import Client

from chalicelib.core.answer_size import fits
from chalicelib.services import services
from tests.integration.s3_fixtures import BACKUP, ERRORED, LANDING, S3
from tests.integration.sqs_fixtures import DEAD_LETTERS
from tests.openapi import described


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Api:
    client: Client

    def get(self, path: str) -> Response:
        return self.send("GET", path)

    def post(self, path: str, body: Any = None, **headers: str) -> Response:
        """Send `body` with POST: bytes unchanged, and every other type as JSON."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.send("POST", path, data, {"Content-Type": "application/json", **headers})

    def send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Response:
        response = self.client.http.request(method, path, headers=headers or {}, body=body)
        text = response.body.decode(errors="replace")  # a workbook is not text, so its bytes cannot all be decoded
        assert fits(text), "Lambda would not pass on a response of this size"
        is_text = "json" not in response.headers.get("Content-Type", "json")
        parsed = (text if is_text else json.loads(text)) if text else None
        if described().operation(method, path) is not None:
            described().check(method, path, response.status_code, response.headers, parsed)
        return Response(response.status_code, response.headers, parsed)


@pytest.fixture
def api(database_url: str, s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    settings = {
        "DATABASE_URL": database_url,
        "DATABASE_TLS": "disable",
        "HIREFLOW_AUTH": "off",
        "LANDING_BUCKET": LANDING,
        "ERRORED_BUCKET": ERRORED,
        "BACKUP_BUCKET": BACKUP,
        "DEAD_LETTER_QUEUE": DEAD_LETTERS,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    services.cache_clear()
    from app import app

    with Client(app) as client:
        yield Api(client)
    services().database.close()
    services.cache_clear()
