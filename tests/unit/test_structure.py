"""Tests the structure of the code: which packages a package may import, and which modules a cold start loads."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.core.test_settings import COMPLETE

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "chalicelib"
MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


# For every package of chalicelib, the other packages that it may import. The lowest layer comes first.
MAY_IMPORT = {
    "core": set(),
    "cloud": {"core"},
    "formats": {"core"},
    "loads": {"core", "cloud"},
    "reports": {"core", "cloud"},
    "auth": {"core", "cloud"},
    "ingest": {"core", "cloud", "formats", "loads"},
    "backups": {"core", "cloud", "formats", "loads"},
    "recovery": {"core", "cloud", "loads", "ingest"},
    "monitoring": {"core", "cloud", "loads", "backups"},
    "outbox": {"core", "cloud"},
    "services": {"core", "cloud", "monitoring", "outbox"},
    "migrations": {"core", "auth", "services"},
    "dashboard": {
        *("core", "cloud", "loads", "reports", "auth", "ingest", "backups", "monitoring", "services"),
    },
    "api/http": {"core", "auth", "services"},
    "api": {
        *("core", "cloud", "formats", "loads", "reports", "auth", "ingest", "backups", "monitoring", "services"),
        *("dashboard", "api/http", "api/openapi"),
    },
    "handlers": {
        *("core", "cloud", "auth", "ingest", "backups", "monitoring", "outbox", "recovery", "migrations", "services"),
    },
    "api/openapi": {"core", "formats", "reports", "auth", "ingest", "api", "api/http"},
}
# The modules that may import a library. Only these modules call the library. They raise our own errors in place of the
# library's errors.
IMPORTED_BY = {
    "boto3 botocore": {
        *("cloud/buckets.py", "cloud/clients.py", "cloud/functions.py", "cloud/object_streams.py"),
        *("cloud/event_bus.py", "cloud/queues.py", "cloud/secrets.py", "cloud/storage.py", "cloud/topics.py"),
    },
    "pg8000": {"cloud/connecting.py", "cloud/database.py", "cloud/statements.py"},
    "fastavro": {"formats/avro.py"},
    "cramjam": {"formats/avro_codecs.py"},
    "jinja2": {"dashboard/pages.py"},
    "python_calamine": {"formats/xlsx.py"},
    "xlsxwriter": {"api/template_files.py"},
    "zipfile xml": {"formats/xlsx_parts.py"},
}
MOST_LINES = 350
MOST_PARAMETERS = 7  # a function or a constructor may have at most these parameters, including `self`
# These classes may have more fields; most fields have a default.
DECLARATIONS = {"Column", "Setting", "Settings", "Operation", "Report"}


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, at the top or inside a function. `from a import b` counts as `a` and
    `a.b`."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return modules


def hidden(source: str) -> list[str]:
    """Return the imports in a source text whose modules the function `imports` cannot determine.

    These are relative imports, imports of a computed name or of `*`, and imports that bind the name of the whole
    package.
    """
    unclear: list[ast.AST] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            unclear += [alias for alias in node.names if alias.name.split(".")[0] in ("chalicelib", "importlib")]
        elif isinstance(node, ast.ImportFrom):
            unclear += [node] if node.level or node.module == "importlib" or node.names[0].name == "*" else []
        elif isinstance(node, ast.Name) and node.id == "__import__":
            unclear.append(node)
    return [ast.unparse(node) for node in unclear]


def importers(*libraries: str) -> set[str]:
    """Return the modules of chalicelib that import one of these libraries."""
    return {module for module in MODULES if {name.split(".")[0] for name in imports(SOURCE / module)} & {*libraries}}


def package_of(module: str) -> str:
    """Return the package of a module. `module` is its path below chalicelib, without the suffix."""
    folder, _, rest = module.partition("/")
    return f"{folder}/{rest.split('/')[0]}" if f"{folder}/{rest.split('/')[0]}" in MAY_IMPORT else folder


def packages_imported(path: Path) -> set[str]:
    ours = {
        name.removeprefix("chalicelib.").replace(".", "/") for name in imports(path) if name.startswith("chalicelib.")
    }
    return {package_of(name) for name in ours if package_of(name) in MAY_IMPORT} - {""}


def test_every_module_is_in_a_declared_package() -> None:
    assert {package_of(module.removesuffix(".py")) for module in MODULES} - {"__init__"} == MAY_IMPORT.keys()
    assert len([module for module in MODULES if "/" not in module]) <= 4
    packages = {Path(module).parent for module in MODULES if module.endswith("__init__.py")}
    others = {Path(module).parent for module in MODULES} - packages
    assert others == {Path("migrations/versions")}  # no packages: Alembic reads the files in these folders


@pytest.mark.parametrize("module", MODULES)
def test_a_package_imports_only_the_packages_that_it_may(module: str) -> None:
    here = package_of(module.removesuffix(".py"))
    assert packages_imported(SOURCE / module) - {here} <= MAY_IMPORT.get(here, set())


@pytest.mark.parametrize("module", MODULES)
def test_the_module_of_every_import_can_be_determined(module: str) -> None:
    assert hidden((SOURCE / module).read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "from . import buckets",
        "from ..cloud import buckets",
        "def later():\n    from .. import cloud",
        "import chalicelib",
        "import chalicelib.cloud.buckets",
        "import importlib.util",
        "from importlib import import_module",
        "__import__(name)",
        "from chalicelib.cloud.buckets import *",
    ],
)
def test_an_import_whose_module_cannot_be_determined_is_found(source: str) -> None:
    assert hidden(source) != []


def test_the_functions_import_no_code_that_is_not_deployed_with_them() -> None:
    assert importers("app", "bench", "cli", "infra", "tests") == set()


def test_every_allowed_import_exists() -> None:
    for name, allowed in MAY_IMPORT.items():
        modules = [module for module in MODULES if package_of(module.removesuffix(".py")) == name]
        assert set().union(*(packages_imported(SOURCE / module) for module in modules)) - {name} == allowed, name


def test_a_package_imports_only_lower_layers() -> None:
    order = list(MAY_IMPORT)
    for name, allowed in MAY_IMPORT.items():
        # `api` and `api/openapi` import each other: the document describes the routes, and a route serves the document.
        if name != "api":
            assert all(order.index(other) < order.index(name) for other in allowed), name


@pytest.mark.parametrize("libraries", IMPORTED_BY)
def test_only_the_listed_modules_import_a_library(libraries: str) -> None:
    assert importers(*libraries.split()) == IMPORTED_BY[libraries]


def test_only_the_api_imports_chalice() -> None:
    assert {package_of(module.removesuffix(".py")) for module in importers("chalice")} == {"api", "api/http"}


def test_only_the_migrations_import_sqlalchemy() -> None:
    assert {package_of(module.removesuffix(".py")) for module in importers("sqlalchemy", "alembic")} == {"migrations"}


def test_code_that_measures_does_not_import_the_format_of_metrics() -> None:
    assert {m for m in MODULES if "chalicelib.monitoring.metrics" in imports(SOURCE / m)} == {"services.py"}


@pytest.mark.parametrize("package", [module for module in MODULES if module.endswith("__init__.py")])
def test_every_package_has_a_docstring_and_no_code_beside_it(package: str) -> None:
    lines = (SOURCE / package).read_text()
    doc = ast.get_docstring(ast.parse(lines)) or ""
    assert len(doc) > 80
    assert ast.parse(lines).body[1:] == []


def test_no_two_modules_have_the_same_name() -> None:
    names = [Path(module).name for module in MODULES if not module.endswith("__init__.py")]
    assert sorted(names) == sorted({*names})


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_the_same_name_everywhere(module: str) -> None:
    """An import with `as` would give a module, or a name in it, a second name."""
    renamed = [
        alias.name
        for node in ast.walk(ast.parse((SOURCE / module).read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if alias.asname
    ]
    assert renamed == []


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_too_long(module: str) -> None:
    assert len((SOURCE / module).read_text().splitlines()) <= MOST_LINES


def parameters(function: ast.FunctionDef) -> int:
    signature = function.args
    return len(
        [
            *signature.posonlyargs,
            *signature.args,
            *signature.kwonlyargs,
            *filter(None, [signature.vararg, signature.kwarg]),
        ]
    )


def fields(dataclass: ast.ClassDef) -> int:
    """Return the number of parameters of a dataclass's constructor.

    Return 0 for the classes in DECLARATIONS, and for a class that has only properties and class methods. Such a class
    is filled from a row of a table or from a document, and has a member for each column or each member of the document.
    """
    methods = [node for node in dataclass.body if isinstance(node, ast.FunctionDef)]
    decorators = [{ast.unparse(decorator) for decorator in node.decorator_list} for node in methods]
    if dataclass.name in DECLARATIONS or all(names & {"property", "classmethod"} for names in decorators):
        return 0
    members = [
        node
        for node in dataclass.body
        if isinstance(node, ast.AnnAssign)
        and not ast.unparse(node.target).startswith("_")
        and "ClassVar" not in ast.unparse(node.annotation)
    ]
    return 1 + len(members)


def too_wide(tree: ast.Module) -> list[str]:
    """Return the names of the functions and constructors with more than MOST_PARAMETERS parameters."""
    nodes = list(ast.walk(tree))
    functions = [(node.name, parameters(node)) for node in nodes if isinstance(node, ast.FunctionDef)]
    constructors = [
        (node.name, fields(node))
        for node in nodes
        if isinstance(node, ast.ClassDef)
        and any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]
    return [name for name, count in (*functions, *constructors) if count > MOST_PARAMETERS]


@pytest.mark.parametrize("module", MODULES)
def test_no_function_or_constructor_has_too_many_parameters(module: str) -> None:
    assert too_wide(ast.parse((SOURCE / module).read_text())) == []


def test_functions_and_constructors_with_too_many_parameters_are_found() -> None:
    seven = ", ".join(f"p{n}: int" for n in range(7))
    members = "; ".join(f"p{n}: int" for n in range(7))
    wide = f"class A:\n def __init__(self, {seven}): ...\n@dataclass\nclass B:\n {members}\n def work(self): ...\n"
    assert too_wide(ast.parse(wide)) == ["__init__", "B"]
    assert too_wide(ast.parse(wide.replace("p6: int", ""))) == []


def test_a_cold_start_of_the_api_loads_only_what_it_needs() -> None:
    heavy = ["boto3", "botocore", "fastavro", "cramjam", "sqlalchemy", "alembic", "gzip"]
    heavy += ["python_calamine", "xlsxwriter"]
    heavy += ["chalicelib.api.openapi.document", "chalicelib.monitoring.metrics", "chalicelib.monitoring.gauges"]
    code = f"import sys, app; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_first_page_of_the_dashboard_needs_no_boto3() -> None:
    """Importing boto3 would take the largest part of the first request."""
    code = (
        "import json, sys, app\n"
        "context = {'httpMethod': 'GET', 'resourcePath': '/', 'requestId': 'r', 'identity': {}}\n"
        "event = {'requestContext': context, 'headers': {}, 'multiValueHeaders': {}, 'body': None,"
        " 'pathParameters': None, 'multiValueQueryStringParameters': None, 'stageVariables': None,"
        " 'isBase64Encoded': False}\n"
        "response = app.app(event, None)\n"
        "policy = response['headers']['Content-Security-Policy']\n"
        "print(response['statusCode'], 'landing.s3.eu-west-1.' in policy,"
        " [name for name in ('boto3', 'botocore') if name in sys.modules])"
    )
    env = {**COMPLETE, "PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": "eu-west-1", "AWS_CONFIG_FILE": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "200 True []"


def test_a_load_of_a_csv_file_does_not_import_the_reader_of_workbooks() -> None:
    code = "import sys, chalicelib.ingest.objects, chalicelib.ingest.dryrun\nprint([n for n in {} if n in sys.modules])"
    absent = [
        "python_calamine",
        "xml.parsers.expat",
        "chalicelib.formats.xlsx",
        "chalicelib.formats.xlsx_rows",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code.format(absent)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_command_line_imports_no_other_part_of_the_product() -> None:
    for path in (ROOT / "cli").rglob("*.py"):
        assert not {name for name in imports(path) if name.split(".")[0] in ("infra", "chalicelib", "app", "tests")}


def test_there_is_one_http_client_and_one_table_printer() -> None:
    clients = {"urllib3", "urllib.request", "http.client", "requests", "httpx"}
    product = [path for folder in ("cli", "infra") for path in sorted((ROOT / folder).rglob("*.py"))]
    speaking = {str(path.relative_to(ROOT)) for path in product if imports(path) & clients}
    assert speaking == {"cli/http.py", "cli/routes.py"}  # routes.py only reads the settings of proxies
    printing = {str(path.relative_to(ROOT)) for path in product if "rich.table" in imports(path)}
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
