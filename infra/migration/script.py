"""Writes the file of a migration."""

import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alembic.autogenerate import render_python_code
from alembic.operations import ops
from alembic.operations.ops import MigrateOperation
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import ColumnClause, DefaultClause

from infra.errors import CloudError
from infra.migration.operations import Call


def source(context: MigrationContext, steps: Sequence[MigrateOperation]) -> str:
    """Return the Python statements that run these operations."""
    rendered = render_python_code(ops.UpgradeOps(list(steps)), migration_context=context, render_item=_rendered)
    return "\n".join(line for line in rendered.splitlines() if not line.strip().startswith("# ###")).strip()


def write(directory: ScriptDirectory, name: str, steps: Sequence[MigrateOperation], upgrades: str, about: str) -> Path:
    """Write the migration after the newest one, and format it. Return its path. `upgrades` is the source of `steps`,
    and `about` says what they do. Raises CloudError if Alembic writes no file."""
    calls = sorted({step.function for step in steps if isinstance(step, Call)})
    numbers = [int(each.revision) for each in directory.walk_revisions() if each.revision.isdigit()]
    revision = f"{max(numbers, default=0) + 1:04}"
    directory.messaging_opts = {"quiet": True}
    about = "\n".join(textwrap.wrap(about, 114))  # a line has 120 characters, and 6 of them are quotation marks
    script = directory.generate_revision(revision, name, upgrades=upgrades, calls=calls, about=about)
    if script is None:
        raise CloudError(f"Alembic did not write the migration {revision}")
    path = Path(script.path)
    for command in (("format", "--quiet"), ("check", "--quiet", "--fix", "--exit-zero")):
        subprocess.run([sys.executable, "-m", "ruff", *command, str(path)], check=True)
    return path


def _rendered(what: str, item: Any, _context: object) -> Any:
    """Render the default of a dataset's column as a plain text."""
    if what == "server_default" and isinstance(item, DefaultClause) and isinstance(item.arg, ColumnClause):
        return repr(item.arg.name[1:-1].replace("''", "'"))
    return False
