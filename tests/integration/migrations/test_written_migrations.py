"""Tests the migrations that `make migration` writes: from a database of other declarations to these declarations."""

import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from chalicelib.core.dataset import Column, Dataset, checked
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import ConfigurationError
from chalicelib.core.kinds.table import Kind
from chalicelib.core.kinds.values import InvalidDeclaration
from chalicelib.migrations import changes, comparison, migrate, schema, shape
from infra.errors import CloudError
from infra.local.postgres import Postgres
from infra.local.provision import connect
from infra.migration import command, script
from infra.migration.steps import Steps

EMAIL = Column("email", Kind.TEXT, optional=True)
SITE = Column("site_id", Kind.ID, parent="sites", optional=True)
ID = Column("id", Kind.ID)
DAY = "2021-07-27"


class Stage:
    """A database, and the datasets that its tables have."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.datasets = connection, dict(DATASETS)

    def declared(self, *datasets: Dataset, without: str = "") -> dict[str, Dataset]:
        """Return the present datasets with these instead, or in addition."""
        every = {**self.datasets, **{dataset.name: dataset for dataset in datasets}}
        return checked(dataset for name, dataset in every.items() if name != without)

    def planned(self, *datasets: Dataset, without: str = "", drop: tuple[str, ...] = ()) -> Steps:
        return command.planned(self.connection, self.declared(*datasets, without=without), drop)

    def migrate(self, *datasets: Dataset, without: str = "", drop: tuple[str, ...] = ()) -> str:
        """Write a migration to these datasets, and run it. Return its source."""
        declared = self.declared(*datasets, without=without)
        steps = self.planned(*datasets, without=without, drop=drop)
        context = comparison.context_of(self.connection)
        source = script.source(context, steps.operations)
        names: dict[str, Any] = {name: value for name, value in vars(changes).items() if callable(value)}
        with Operations.context(context) as op:
            names |= {"op": op, "sa": sqlalchemy, "postgresql": postgresql}
            exec(source.replace("\n    ", "\n"), names)
        self.datasets = declared
        assert comparison.differences(self.connection, schema.with_datasets(declared.values())) == []
        shape.require_tables(declared, self.connection)
        return source

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        result = self.connection.execute(text(sql))
        return [tuple(row) for row in result] if result.returns_rows else []


@pytest.fixture
def stage(postgres: Postgres) -> Iterator[Stage]:
    """Yield a database with the tables of the declared datasets. It lasts for one transaction."""
    with migrate.engine(postgres.url, "disable").connect() as connection, connection.begin() as transaction:
        connection.execute(text(f"TRUNCATE {', '.join(DATASETS)} CASCADE"))
        yield Stage(connection)
        transaction.rollback()


def wider(name: str, *columns: Column) -> Dataset:
    """Return a declared dataset with further columns."""
    return replace(DATASETS[name], columns=(*DATASETS[name].columns, *columns))


def test_there_is_nothing_to_do_if_the_migrations_make_the_declared_tables(stage: Stage) -> None:
    assert stage.planned().operations == []


OF_EVERY_KIND = {
    "code": Column("code", Kind.ID, default=7),
    "note": Column("note", Kind.TEXT, default="it's 100% a:b \\ 'x'"),
    "at": Column("at", Kind.INSTANT, default="2021-07-27T16:02:08.5Z"),
    "day": Column("day", Kind.DATE, default=DAY),
    "seats": Column("seats", Kind.WHOLE_NUMBER, default=-(2**40)),
    "open": Column("open", Kind.BOOLEAN, default=False),
    "rent": Column("rent", Kind.decimal(12, 2), default="-12.50"),
}


def test_columns_with_a_default_give_it_to_stored_rows_and_to_the_rows_of_the_previous_release(stage: Stage) -> None:
    stage.run("INSERT INTO jobs VALUES (1, 'Clerk')")
    stage.migrate(wider("jobs", *OF_EVERY_KIND.values()))
    stage.run("INSERT INTO jobs (id, job) VALUES (2, 'Smith')")
    for column in OF_EVERY_KIND.values():
        assert column.default is not None
        literal = str(column.kind.check(column.default)).replace("'", "''").replace(":", r"\:")
        found = stage.run(f"SELECT id FROM jobs WHERE {column.quoted} = '{literal}' ORDER BY id")
        assert found == [(1,), (2,)], column.name


def test_optional_columns_are_null_in_stored_rows_and_in_the_rows_of_the_previous_release(stage: Stage) -> None:
    stage.run("INSERT INTO jobs VALUES (1, 'Clerk')")
    stage.migrate(wider("jobs", *(replace(column, optional=True, default=None) for column in OF_EVERY_KIND.values())))
    stage.run("INSERT INTO jobs (id, job) VALUES (2, 'Smith')")
    for column in OF_EVERY_KIND.values():
        assert stage.run(f"SELECT id FROM jobs WHERE {column.quoted} IS NULL ORDER BY id") == [(1,), (2,)], column.name


def test_a_new_dataset_has_a_table_whose_changes_are_counted(stage: Stage) -> None:
    order = Column("order", Kind.ID, parent="departments")
    user = Dataset("user", "usr", (ID, order, Column("select", Kind.ID, parent="departments", optional=True)))
    source = stage.migrate(user)
    assert 'exec_driver_sql(track_changes("user"))' in source.replace("'", '"')

    def version() -> int:
        return int(stage.run("SELECT version FROM dataset_state WHERE dataset = 'user'")[0][0])

    before = version()
    stage.run("INSERT INTO departments VALUES (1, 'Sales')")
    assert version() == before
    stage.run('INSERT INTO "user" VALUES (1, 1, NULL)')
    assert version() == before + 1
    with pytest.raises(DBAPIError, match="user_order_fkey"):
        stage.run('INSERT INTO "user" VALUES (2, 9, NULL)')


def test_a_column_may_refer_to_a_new_dataset(stage: Stage) -> None:
    site = Dataset("sites", "site", (ID, Column("city", Kind.TEXT)))
    stage.datasets = {"sites": site, **stage.datasets}  # parents come first
    steps = stage.planned(site, wider("jobs", SITE))
    assert steps.about == "Adds the dataset sites. Adds the column site_id to jobs."
    stage.migrate(site, wider("jobs", SITE))
    with pytest.raises(DBAPIError, match="jobs_site_id_fkey"):
        stage.run("INSERT INTO jobs VALUES (1, 'Clerk', 9)")


def test_an_optional_column_becomes_mandatory_and_rows_without_a_value_get_the_default(stage: Stage) -> None:
    stage.migrate(wider("jobs", EMAIL))
    stage.run("INSERT INTO jobs VALUES (1, 'Clerk', NULL), (2, 'Smith', 'b')")
    stage.migrate(wider("jobs", replace(EMAIL, optional=False, default="none")))
    stage.run("INSERT INTO jobs (id, job) VALUES (3, 'Cook')")
    assert stage.run("SELECT email FROM jobs ORDER BY id") == [("none",), ("b",), ("none",)]


def test_a_column_without_a_default_becomes_mandatory_only_if_every_row_has_a_value(stage: Stage) -> None:
    mandatory = wider("jobs", replace(EMAIL, optional=False))
    stage.migrate(wider("jobs", EMAIL))
    stage.run("INSERT INTO jobs VALUES (1, 'Clerk', NULL), (2, 'Smith', 'b'), (3, 'Cook', NULL)")
    tried = stage.connection.begin_nested()
    with pytest.raises(ConfigurationError) as refused, migrate.explained():
        stage.migrate(mandatory)
    tried.rollback()
    assert refused.value.detail == (
        "the column email of jobs becomes mandatory, but 2 rows have no value in it: load a file that gives these rows"
        " a value, and run the command again. Or give the column a default, delete the file of this migration, and"
        " write it again with `make migration`"
    )
    stage.run("UPDATE jobs SET email = 'a' WHERE email IS NULL")
    stage.migrate(mandatory)
    with pytest.raises(DBAPIError, match="null value"):
        stage.run("INSERT INTO jobs (id, job) VALUES (4, 'Maid')")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (replace(EMAIL, optional=False, default="a"), EMAIL),
        (replace(EMAIL, default="a"), replace(EMAIL, default="b")),
        (replace(EMAIL, default="a"), EMAIL),
        (EMAIL, replace(EMAIL, default="it's")),
        (Column("rent", Kind.decimal(8, 2), optional=True), Column("rent", Kind.decimal(20, 2), optional=True)),
        (Column("boss", Kind.ID, parent="departments", optional=True), Column("boss", Kind.ID, optional=True)),
    ],
)
def test_a_column_may_take_more_than_before(stage: Stage, before: Column, after: Column) -> None:
    stage.migrate(wider("jobs", before))
    stage.run("INSERT INTO jobs (id, job) VALUES (1, 'Clerk')")
    stage.migrate(wider("jobs", after))


def test_what_is_no_longer_declared_is_dropped_only_if_it_is_named(stage: Stage) -> None:
    sites = Dataset("sites", "site", (ID, Column("city", Kind.TEXT)))
    stage.datasets = {"sites": sites, **stage.datasets}
    stage.migrate(sites, wider("jobs", EMAIL, SITE))
    with pytest.raises(CloudError) as refused:
        stage.planned(wider("jobs", SITE))
    assert str(refused.value) == (
        "the database has the column email of jobs, but datasets.py does not declare it. A migration that drops it"
        " deletes its values, and the previous release fails until the deployment has replaced it. If you have renamed"
        " it, declare the old name again; the header of a file may use other names of a column (aliases). If you want"
        " to drop it, add DROP=jobs.email to the command"
    )
    with pytest.raises(CloudError, match="the database has the table sites"):
        stage.planned(DATASETS["jobs"], without="sites", drop=("jobs.email", "jobs.site_id"))
    stage.migrate(DATASETS["jobs"], without="sites", drop=("sites", "jobs.email", "jobs.site_id"))
    assert stage.run("SELECT dataset FROM dataset_state ORDER BY 1") == [(name,) for name in sorted(DATASETS)]


REFUSED = {
    "the new column email is mandatory and has no default": (
        wider("jobs"),
        wider("jobs", replace(EMAIL, optional=False)),
    ),
    "the new column rent is mandatory and has no default.* If you have renamed email, declare the old name again": (
        wider("jobs", EMAIL),
        wider("jobs", Column("rent", Kind.decimal(8, 2))),
    ),
    "the column email is text in the database, but timestamp with time zone in datasets.py": (
        wider("jobs", EMAIL),
        wider("jobs", replace(EMAIL, kind=Kind.INSTANT, example=None)),
    ),
    r"the column rent is numeric\(8, 2\) in the database, but numeric\(8, 3\)": (
        wider("jobs", Column("rent", Kind.decimal(8, 2), optional=True)),
        wider("jobs", Column("rent", Kind.decimal(8, 3), optional=True)),
    ),
    r"the column rent is numeric\(8, 2\) in the database, but numeric\(7, 2\)": (
        wider("jobs", Column("rent", Kind.decimal(8, 2), optional=True)),
        wider("jobs", Column("rent", Kind.decimal(7, 2), optional=True)),
    ),
    "jobs: boss refers to departments in datasets.py, but not in the database": (
        wider("jobs", Column("boss", Kind.ID, optional=True)),
        wider("jobs", Column("boss", Kind.ID, parent="departments", optional=True)),
    ),
    "jobs: declare the columns in the order of the table: id, job, email. Declare new columns after them": (
        wider("jobs", EMAIL),
        wider("jobs", Column("fax", Kind.TEXT, optional=True), EMAIL),
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_change_that_cannot_work_is_refused_and_says_what_to_do(stage: Stage, reason: str) -> None:
    before, after = REFUSED[reason]
    stage.migrate(before)
    with pytest.raises(CloudError, match=reason):
        stage.planned(after)


@pytest.mark.parametrize("name", ["jobs.job", "jobs", "jobs.fax", "nothing"])
def test_nothing_that_is_declared_can_be_dropped(stage: Stage, name: str) -> None:
    with pytest.raises(CloudError, match=f"DROP={name}: datasets.py must not declare it any more"):
        stage.planned(drop=(name,))


@pytest.mark.parametrize("name", ["loads", "tokens", "alembic_version"])
def test_no_dataset_has_the_name_of_an_internal_table(name: str) -> None:
    with pytest.raises(InvalidDeclaration, match=f"{name}'? cannot be the name of a dataset"):
        schema.with_datasets([Dataset(name, "one", (ID, EMAIL))])


@pytest.mark.parametrize("name", ["", "Add email", "9", "../x", "x" * 41])
def test_a_migration_has_a_name_that_a_file_can_have(name: str) -> None:
    with pytest.raises(CloudError, match="make migration NAME=add_email"):
        command.run(name)


def test_every_word_of_postgres_can_be_the_name_of_a_dataset_and_of_a_column(stage: Stage) -> None:
    words = [word for [word] in stage.run("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')")]
    columns = tuple(Column(word, Kind.BOOLEAN, optional=True) for word in words)
    stage.migrate(*(Dataset(word, f"one_{word}", (ID, *columns[:1])) for word in words), wider("jobs", *columns))
    assert {"lateral", "select", "tablesample"} <= {*words}


def test_what_a_hand_written_migration_has_made_stays(stage: Stage) -> None:
    stage.run("CREATE INDEX by_job ON jobs (job); CREATE TABLE of_others (id integer)")
    stage.run("ALTER TABLE jobs ADD UNIQUE (job)")
    assert stage.planned().operations == []
    assert stage.planned(wider("jobs", EMAIL)).about == "Adds the column email to jobs."


@pytest.mark.parametrize(
    ("table", "column"), [("jobs", "job"), ("hired_employees", "job_id"), ("hired_employees", "datetime")]
)
def test_the_columns_that_the_reports_read_must_stay_and_be_mandatory(stage: Stage, table: str, column: str) -> None:
    others = [c for c in DATASETS[table].columns if c.name != column]
    [found] = [c for c in DATASETS[table].columns if c.name == column]
    for changed in ((*others, EMAIL), (*others, replace(found, optional=True))):
        with pytest.raises(CloudError, match=f"{table}: the reports read the column {column}"):
            stage.planned(replace(DATASETS[table], columns=changed), drop=(f"{table}.{column}",))


@pytest.mark.parametrize("name", OF_EVERY_KIND)
def test_the_file_of_a_migration_runs_whatever_the_kind_of_a_changed_column(
    stage: Stage, tmp_path: Path, name: str
) -> None:
    column = OF_EVERY_KIND[name]
    stage.migrate(wider("jobs", replace(column, optional=True, default=None)))
    steps = stage.planned(wider("jobs", column))
    context = comparison.context_of(stage.connection)
    directory = ScriptDirectory(str(migrate.VERSIONS.parent), version_locations=[str(tmp_path)])
    source = script.source(context, steps.operations)
    path = script.write(directory, "changed", steps.operations, source, steps.about)
    with Operations.context(context):
        runpy.run_path(str(path))["upgrade"]()
    assert stage.planned(wider("jobs", column)).operations == []


DIFFERENCES = {
    "declares teams, but no migration creates the table teams": Dataset("teams", "team", (ID, EMAIL)),
    "declares the column email of jobs, but no migration adds it": wider("jobs", EMAIL),
    "declares the column job of jobs as text, optional, without a default, but in the database it is text, mandatory": (
        replace(DATASETS["jobs"], columns=(ID, Column("job", Kind.TEXT, optional=True)))
    ),
    "the table hired_employees has the column job_id, which datasets.py does not declare": replace(
        DATASETS["hired_employees"], columns=DATASETS["hired_employees"].columns[:-1]
    ),
    "declares the columns of hired_employees in another order than the table has": replace(
        DATASETS["hired_employees"],
        columns=(*DATASETS["hired_employees"].columns[:3], *DATASETS["hired_employees"].columns[:2:-1]),
    ),
}


@pytest.mark.parametrize("reason", DIFFERENCES)
def test_a_declaration_without_a_migration_is_refused_before_anything_changes(
    database_url: str, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    declared = DIFFERENCES[reason]
    monkeypatch.setitem(DATASETS, declared.name, declared)
    with pytest.raises(ConfigurationError, match=reason):
        migrate.upgrade(database_url, tls="disable")


@pytest.fixture
def later(postgres: Postgres) -> str:
    """Return the URL of a database that a later release has migrated. That release has a further column and table."""
    with connect(postgres.superuser_url) as admin:
        admin.run("DROP DATABASE IF EXISTS later")
        admin.run(f"CREATE DATABASE later OWNER {postgres.role.user}")
    url = postgres.url.rsplit("/", 1)[0] + "/later"
    migrate.upgrade(url, tls="disable")
    with connect(url) as owner:
        owner.run("ALTER TABLE jobs ADD COLUMN email text; CREATE TABLE sites (id integer PRIMARY KEY, city text)")
        owner.run("UPDATE alembic_version SET version_num = '9999'")
    return url


def test_going_back_to_this_release_leaves_the_tables_of_a_later_release(later: str) -> None:
    migrated = migrate.upgrade(later, tls="disable")
    assert migrated.revision == "9999"
    assert migrated.notes == ("the database has the revision 9999 of a later release, so its tables stay as they are",)
    with connect(later) as owner:
        owner.run("INSERT INTO jobs (id, job, email) VALUES (1, 'Clerk', 'a')")


def test_going_back_is_refused_if_the_later_release_has_dropped_a_column(later: str) -> None:
    with connect(later) as owner:
        owner.run("ALTER TABLE jobs DROP COLUMN job")
    with pytest.raises(ConfigurationError) as refused:
        migrate.upgrade(later, tls="disable")
    assert refused.value.detail == (
        "the database has the revision 9999, which this checkout does not have, and the column job of jobs is missing"
        " there: bring the migrations up to 9999 back, or deploy the later release again"
    )


def test_going_back_is_refused_if_the_later_release_has_changed_the_type_of_a_column(later: str) -> None:
    with connect(later) as owner:
        owner.run("ALTER TABLE jobs ALTER COLUMN job TYPE varchar(9)")
    with pytest.raises(ConfigurationError, match=r"which this checkout does not have, and the column job of jobs is "):
        migrate.upgrade(later, tls="disable")
