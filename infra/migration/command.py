"""Runs `make migration`: writes the next migration, and the files that depend on the declared datasets."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import ConfigurationError
from chalicelib.migrations import comparison, migrate, shape
from chalicelib.migrations.schema import with_datasets
from infra import datasets
from infra.commandline import report
from infra.errors import CloudError
from infra.local.postgres import temporary
from infra.migration import script
from infra.migration.steps import Steps
from infra.venv import ROOT

_NAME = re.compile("[a-z][a-z0-9_]{0,39}")


def run(name: str = "", *dropped: str) -> None:
    """Write the next migration under this name, unless the declarations agree with the migrations so far. Raises
    CloudError if no migration may remove one of the differences."""
    if not _NAME.fullmatch(name):
        raise CloudError(
            "a migration needs a name of lower-case letters, digits and underscores: make migration NAME=add_email"
        )
    report("starting a Postgres server to compare the datasets with the migrations")
    with temporary() as server:
        path = write(server.url, name, dropped)
    for file in datasets.write():
        report(f"wrote {file.relative_to(ROOT)}")
    if path is None:
        report("nothing to do: the migrations already make the tables that datasets.py declares")
    else:
        report(f"wrote {path.relative_to(ROOT)}: read it, commit it, and run make up")


def write(database_url: str, name: str, dropped: tuple[str, ...] = ()) -> Path | None:
    """Write the next migration. Return its path, or None if there is nothing to do.

    The database must be empty. The function runs the new migration on it, and compares the tables with the declared
    datasets. Raises CloudError, and deletes the file, if the migration does not run or makes other tables.
    """
    try:
        shape.require_one_line(migrate.VERSIONS)
        directory = ScriptDirectory.from_config(migrate.config())
        migrate.upgrade(database_url, tls="disable", revision=directory.get_current_head() or "head")
    except ConfigurationError as error:
        raise CloudError(error.detail) from error
    except DBAPIError as error:
        raise CloudError(f"mend the newest migration, which does not run: {error}") from error
    engine = migrate.engine(database_url, "disable")
    path = _written(directory, engine, name, dropped)
    if path is not None:
        try:
            _require_agreement(database_url, engine)
        except BaseException:
            path.unlink()
            raise
    return path


def _written(directory: ScriptDirectory, engine: Engine, name: str, dropped: tuple[str, ...]) -> Path | None:
    with engine.connect() as connection:
        steps = planned(connection, DATASETS, dropped)
        if not steps.operations:
            return None
        upgrades = script.source(comparison.context_of(connection), steps.operations)
        return script.write(directory, name, steps.operations, upgrades, steps.about)


def planned(connection: Connection, datasets: Mapping[str, Dataset], dropped: Iterable[str] = ()) -> Steps:
    """Return the steps from the tables of a database to these datasets. Raises CloudError if no migration may make one
    of them."""
    steps = Steps(datasets, comparison.columns(connection), dropped)
    found = comparison.differences(connection, with_datasets(datasets.values()))
    others = comparison.made_by_hand(connection, found)
    steps.take(difference for difference in found if difference not in others)
    return steps


def _require_agreement(database_url: str, engine: Engine) -> None:
    """Run the new migration, and compare again."""
    try:
        migrate.upgrade(database_url, tls="disable")
    except (ConfigurationError, DBAPIError) as error:
        raise CloudError(f"the migration does not run, so it was not written: {error}") from error
    with engine.connect() as connection:
        if (left := planned(connection, DATASETS)).operations:
            raise CloudError(f"the migration does not make the declared tables, so it was not written: {left.about}")
