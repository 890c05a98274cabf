"""Fixtures for all integration tests. There is one real Postgres server for the session. Every test gets a database
that has all tables and no rows."""

from collections.abc import Iterator

import pytest

from chalicelib.cloud.database import Database
from chalicelib.cloud.purposes import Purpose
from chalicelib.migrations.migrate import upgrade
from infra.local.postgres import Postgres, temporary
from tests.integration.http_api import api
from tests.integration.landing import landing
from tests.integration.lines import lines
from tests.integration.s3_fixtures import s3, storage
from tests.integration.sqs_fixtures import queue
from tests.tables import TABLES

# pytest offers these imported fixtures to every test in this folder.
__all__ = ["api", "landing", "lines", "queue", "s3", "storage"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with temporary() as server:
        upgrade(server.url, tls="disable")
        yield server


@pytest.fixture(scope="session")
def cleaner(postgres: Postgres) -> Iterator[Database]:
    """Open a connection that empties the database between two tests."""
    opened = Database(postgres.url, tls="disable", purpose=Purpose("cleaner"))
    yield opened
    opened.close()


@pytest.fixture
def database_url(postgres: Postgres, cleaner: Database) -> str:
    """Return the URL of a database that has all tables and no rows. The login is that of the database owner."""
    with cleaner.session() as session:
        session.run(f"TRUNCATE {TABLES}, loads, orphans, outbox RESTART IDENTITY CASCADE")
        session.run("UPDATE dataset_state SET last_id = 0")
        session.run("UPDATE landing_sweep SET starts_at = date_trunc('second', now()), swept_at = now()")
        session.run("UPDATE relay_state SET holder = '', leased_until = '-infinity'")
        session.run("UPDATE relay_state SET dead_letters = NULL, measured_at = NULL")
        session.run("UPDATE late_backups SET noticed = false, since = NULL; UPDATE deployment SET api_url = ''")
        session.run("UPDATE landing_sweep SET key_marker = '', version_marker = ''")
    return postgres.url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url, tls="disable")
    yield opened
    opened.close()
