"""Runs the tests of what is generated from declarations with other datasets, in a copy of this checkout: the API and
its document, the dashboard, the command line, the migrations and the templates of AWS."""

from pathlib import Path

import pytest

from chalicelib.core.datasets import DATASETS
from tests.checkouts import passes
from tests.other.checkout import other_checkout
from tests.other.declaration import OTHERS

TESTS = (
    "tests/unit/api/test_openapi.py",
    "tests/unit/cli/test_files.py",
    "tests/unit/infra/test_lake.py",
    "tests/unit/infra/test_tables.py",
    "tests/unit/ingest/test_file_names.py",
    "tests/unit/test_docs_of_data.py",
    "tests/integration/api/test_api_examples.py",
    "tests/integration/api/test_api_fuzz.py",
    "tests/integration/api/test_api_rest.py",
    "tests/integration/api/test_templates_of_files.py",
    "tests/integration/dashboard/test_dashboard.py",
    "tests/integration/migrations/test_schema.py",
    "tests/integration/migrations/test_roles.py",
    "tests/integration/reports/test_summary.py",
    "tests/integration/infra/test_lake.py",
)
STATIC = (("ruff", "check", "--quiet"), ("ruff", "format", "--check", "--quiet"))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return other_checkout(tmp_path_factory.mktemp("other"))


def test_the_other_datasets_have_what_ours_lack() -> None:
    kinds = {column.kind.sql.partition("(")[0] for dataset in OTHERS for column in dataset.columns}
    assert kinds == {"integer", "text", "timestamptz", "date", "bigint", "boolean", "numeric"}
    optional = {column.kind.sql.partition("(")[0] for d in OTHERS for column in d.columns if column.optional}
    assert optional == kinds
    assert max(len(dataset.columns) for dataset in OTHERS) == 12
    names = {name for dataset in OTHERS for name in (dataset.name, *dataset.column_names)}
    assert {"user", "order", "group", "check", "default"} <= names
    assert not {dataset.name for dataset in OTHERS} & DATASETS.keys()


def test_generated_code_passes_the_checks_of_style(checkout: Path) -> None:
    for command in STATIC:
        passes(checkout, *command, "chalicelib", "cli", "infra")


def test_the_product_passes_its_tests_with_other_datasets(checkout: Path) -> None:
    passes(checkout, "pytest", "-q", "-p", "no:cacheprovider", *TESTS, FUZZ_EXAMPLES="2")
