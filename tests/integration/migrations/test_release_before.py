"""Tests that the previous release works with the tables of this release, because its functions still run for some
minutes after a migration.

The tests are those of the previous release. They run in its own tree, which gets the migrations of this release and one
that adds columns and a dataset.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.checkouts import copied, passes
from tests.e2e.earlier import python_of, unpacked
from tests.new_shape import declare

_MIGRATIONS = "chalicelib/migrations"
# The tests of the previous release that show most of what its functions do. Tests of the schema itself are not among
# them, because the schema has changed.
CORE = (
    "tests/integration/api/test_api_rest.py",
    "tests/integration/ingest/test_ingest.py",
    "tests/integration/ingest/test_second_reading.py",
    "tests/integration/backups/test_restore_load.py",
    "tests/integration/backups/test_roundtrip.py",
    "tests/integration/reports/test_summary.py",
)
_MIGRATION = 'upgrade(server.url, tls="disable")'
_MIGRATION_TO_HEADS = 'upgrade(server.url, tls="disable", revision="heads")'
_ADDED = "tests/integration/test_of_the_next_release.py"
# This test also runs with the previous release.
STAYS = """
from tests.integration.landing import Landing


def test_values_of_the_new_columns_stay(landing: Landing) -> None:
    landing.upload("departments.csv", "1,Sales\\n")
    landing.upload("jobs.csv", "1,Clerk\\n")
    landing.upload("hired_employees.csv", "1,Ann,2021-07-27,1,1\\n")
    with landing.database.session() as session:
        session.run("INSERT INTO locations (id, city) VALUES (1, 'Oslo')")
        session.run("UPDATE hired_employees SET email = 'ann@example.com', location_id = 1")
    landing.upload("hired_employees.csv", "1,Ann B.,2021-07-27,1,1\\n2,Bo,2021-07-27,1,1\\n")
    rows = landing.rows("SELECT id, name, email, location_id FROM hired_employees ORDER BY id")
    assert rows == [(1, "Ann B.", "ann@example.com", 1), (2, "Bo", None, None)]
"""


@pytest.fixture
def migrated(tmp_path: Path) -> Path:
    """Return the tree of the previous release, with the migrations of a checkout in which the shape has changed."""
    tree = unpacked(tmp_path)
    checkout = copied(tmp_path / "checkout")
    declare(checkout)
    passes(checkout, "infra.migration", "new_shape")
    for module in ("changes.py", "summary.py"):  # the migrations use them
        shutil.copy(checkout / _MIGRATIONS / module, tree / _MIGRATIONS / module)
    shutil.copytree(checkout / _MIGRATIONS / "versions", tree / _MIGRATIONS / "versions", dirs_exist_ok=True)
    (tree / _ADDED).write_text(STAYS)
    _migrate_to_heads(tree / "tests/integration/conftest.py")
    return tree


def _migrate_to_heads(conftest: Path) -> None:
    """Let the tests of the previous release migrate to `heads` instead of `head`. A migration to `head` also checks
    that the tables are those of the declared datasets, but the later migrations have changed the tables."""
    code = conftest.read_text()
    assert code.count(_MIGRATION) == 1
    conftest.write_text(code.replace(_MIGRATION, _MIGRATION_TO_HEADS))


def test_the_previous_release_works_with_the_new_tables(migrated: Path) -> None:
    command: list[str | Path] = [python_of(migrated), "-m", "pytest", "-q", "-p", "no:cacheprovider", _ADDED, *CORE]
    done = subprocess.run(command, cwd=migrated, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
