"""python -m tests.other.migration: write the migration of the other datasets into this checkout."""

from chalicelib.core.datasets import DATASETS
from infra.venv import ROOT

_MIGRATION = '''"""Creates the other datasets."""

from alembic import op

from chalicelib.migrations import schema
from chalicelib.migrations.changes import track_changes

revision = "{revision}"
down_revision = "{down}"


def upgrade() -> None:
    names = {names!r}
    schema.metadata.create_all(op.get_bind(), tables=[schema.metadata.tables[name] for name in names])
    for name in names:
        op.get_bind().exec_driver_sql(track_changes(name))


# create_table: {marks}
'''


def main() -> None:
    versions = ROOT / "chalicelib/migrations/versions"
    newest = max(path.name[:4] for path in versions.glob("[0-9]*.py"))
    names = [name for name in DATASETS if name not in ("departments", "jobs", "hired_employees")]
    text = _MIGRATION.format(
        revision=f"{int(newest) + 1:04}", down=newest, names=names, marks=" ".join(f"create table {n}," for n in names)
    )
    (versions / f"{int(newest) + 1:04}_other.py").write_text(text)


if __name__ == "__main__":
    main()
