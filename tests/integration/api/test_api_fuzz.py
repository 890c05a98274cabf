"""Tests the API with requests that Schemathesis generates. The API runs in the test process behind a model of API
Gateway. Postgres is real, and moto replaces S3."""

from datetime import timedelta

import schemathesis

from app import app
from chalicelib.backups.run import run_backup
from chalicelib.cloud.database import Database
from tests import fuzzing
from tests.gateway import Gateway
from tests.integration.http_api import Api
from tests.integration.s3_fixtures import S3


def test_the_document_declares_every_response(api: Api, database: Database, s3: S3) -> None:
    api.post("/department/upload", {"id": 1, "department": "Staff"})
    api.post("/job/upload", {"id": 1, "job": "Recruiter"})
    run_backup(database, s3.storage, retention=timedelta(days=30))
    seed = fuzzing.seed()
    config = fuzzing.config(fuzzing.examples(15), seed, base_url="http://localhost")
    schema = schemathesis.openapi.from_wsgi("/openapi.json", Gateway(app), config=config)
    report = fuzzing.run(schema, seed)
    print(report)
    assert not report.failures, str(report)
    operations = {f"{m} {path}" for path, methods in app.routes.items() for m in methods}
    assert set(report.requests) == operations - {"GET /openapi.json"}  # Schemathesis has read the document from there
