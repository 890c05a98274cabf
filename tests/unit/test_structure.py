"""The layers hold: who may import what, and what a cold start has to load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "chalicelib"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imports(module: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / module).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def importers(name: str) -> set[str]:
    return {m for m in MODULES if any(found == name or found.startswith(name + ".") for found in imports(m))}


def test_only_the_api_knows_chalice() -> None:
    assert importers("chalice") == {m for m in importers("chalice") if m.startswith("api/")} != set()


def test_only_what_speaks_to_aws_knows_boto3() -> None:
    assert importers("boto3") | importers("botocore") == {"storage.py", "secret.py", "delivery.py"}


def test_only_database_knows_the_driver() -> None:
    assert importers("pg8000") == {"database.py"}


def test_what_is_measured_does_not_know_the_form_of_metrics() -> None:
    assert importers("chalicelib.metrics") == {"services.py"}


def test_only_schema_code_knows_sqlalchemy() -> None:
    assert importers("sqlalchemy") | importers("alembic") == {
        "tables.py",
        *(module for module in MODULES if module.startswith("migrations/versions/")),
        "migrations/__init__.py",
        "migrations/env.py",
        "migrations/roles.py",
    }


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("datasets.py", {"database", "storage", "ingest", "api", "loads"}),
        ("database.py", {"ingest", "backups", "reports", "api", "storage", "loads"}),
        ("delivery.py", {"ingest", "backups", "reports", "api", "database", "loads"}),
        ("storage.py", {"ingest", "backups", "reports", "api", "database", "loads"}),
        ("ingest/rules.py", {"database", "storage", "api", "backups"}),
        ("ingest/reader.py", {"database", "api", "backups"}),
        ("reports/__init__.py", {"ingest", "backups", "api", "storage"}),
    ],
)
def test_data_flows_one_way(lower: str, higher: set[str]) -> None:
    assert {name.split(".")[1] for name in imports(lower) if name.startswith("chalicelib.")} & higher == set()


def test_a_cold_start_of_the_api_loads_only_what_it_needs() -> None:
    heavy = ["boto3", "botocore", "fastavro", "sqlalchemy", "alembic", "gzip"]
    heavy += ["chalicelib.api.openapi", "chalicelib.metrics", "chalicelib.gauges"]
    code = f"import sys, app; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def imported(path: Path) -> set[str]:
    """All modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_the_command_line_imports_nothing_else_of_ours() -> None:
    for path in (ROOT / "cli").rglob("*.py"):
        assert not {name for name in imported(path) if name.split(".")[0] in ("infra", "chalicelib", "app", "tests")}


def test_there_is_one_http_client_and_one_table_printer() -> None:
    clients = {"urllib3", "urllib.request", "http.client", "requests", "httpx"}
    product = [path for folder in ("cli", "infra") for path in sorted((ROOT / folder).rglob("*.py"))]
    speaking = {str(path.relative_to(ROOT)) for path in product if imported(path) & clients}
    assert speaking == {"cli/http.py", "cli/routes.py"}  # which asks urllib.request for the environment's proxies
    printing = {str(path.relative_to(ROOT)) for path in product if "rich.table" in imported(path)}
    assert printing == {"cli/tables.py"}


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["--version"], ["typer", "rich", "urllib3", "boto3"]),
        (["--help"], ["rich", "urllib3", "boto3"]),
        (["upload", "--help"], ["rich", "urllib3", "boto3"]),
    ],
)
def test_a_command_loads_only_what_it_needs(words: list[str], absent: list[str]) -> None:
    code = (
        f"import sys\nfrom cli.__main__ import main\nsys.argv[1:] = {words}\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {absent} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stderr.strip(), bool(done.stdout)) == ("[]", True)
