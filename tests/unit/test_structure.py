"""The layers hold: who may import what, and what a cold start has to load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "chalicelib"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


# Every room of chalicelib, and the rooms that it may import besides itself. The order is from the bottom up.
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
    "services": {"core", "cloud", "monitoring"},
    "migrations": {"core", "auth", "services"},
    "dashboard": {
        *("core", "cloud", "loads", "reports", "auth", "ingest", "backups", "monitoring", "services"),
    },
    "api/http": {"core", "auth", "services"},
    "api": {
        *("core", "cloud", "formats", "loads", "reports", "auth", "ingest", "backups", "monitoring", "services"),
        *("dashboard", "api/http", "api/openapi"),
    },
    "handlers": {"cloud", "auth", "ingest", "backups", "monitoring", "recovery", "migrations", "services"},
    "api/openapi": {"core", "formats", "reports", "auth", "ingest", "api", "api/http"},
}
# The modules that know a library. Each library stays behind the few that turn its calls and errors into ours.
KNOWN_BY = {
    "boto3 botocore": {
        *("cloud/buckets.py", "cloud/clients.py", "cloud/functions.py", "cloud/object_streams.py"),
        *("cloud/queues.py", "cloud/secrets.py", "cloud/storage.py"),
    },
    "pg8000": {"cloud/database.py"},
    "fastavro": {"formats/avro.py"},
    "jinja2": {"dashboard/pages.py"},
}
MOST_LINES = 350
MOST_PARAMETERS = 7  # of a function or a constructor; `self` counts
DECLARATIONS = {"Setting", "Settings", "Operation", "Report"}  # one field for each fact, most of them with a default


def imports(path: Path) -> set[str]:
    """The modules that a file imports, anywhere in it; `from a import b` counts as `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def hidden(source: str) -> list[str]:
    """The imports of which `imports` cannot tell what they reach: relative ones, those of a computed name, and those
    that bind the name of the whole package."""
    found: list[ast.AST] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias for alias in node.names if alias.name.split(".")[0] in ("chalicelib", "importlib")]
        elif isinstance(node, ast.ImportFrom):
            found += [node] if node.level or node.module == "importlib" or node.names[0].name == "*" else []
        elif isinstance(node, ast.Name) and node.id == "__import__":
            found.append(node)
    return [ast.unparse(node) for node in found]


def importers(*libraries: str) -> set[str]:
    return {module for module in MODULES if {name.split(".")[0] for name in imports(PACKAGE / module)} & {*libraries}}


def room(module: str) -> str:
    """The room of a module, by its path below chalicelib without its suffix."""
    folder, _, rest = module.partition("/")
    return f"{folder}/{rest.split('/')[0]}" if f"{folder}/{rest.split('/')[0]}" in MAY_IMPORT else folder


def rooms_imported(path: Path) -> set[str]:
    ours = {
        name.removeprefix("chalicelib.").replace(".", "/") for name in imports(path) if name.startswith("chalicelib.")
    }
    return {room(name) for name in ours if room(name) in MAY_IMPORT} - {""}


def test_every_module_is_in_a_room() -> None:
    assert {room(module.removesuffix(".py")) for module in MODULES} - {"__init__"} == MAY_IMPORT.keys()
    assert len([module for module in MODULES if "/" not in module]) <= 4
    doors = {Path(module).parent for module in MODULES if module.endswith("__init__.py")}
    assert {Path(module).parent for module in MODULES} - doors == {Path("migrations/versions")}  # which Alembic reads


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_the_rooms_it_may(module: str) -> None:
    here = room(module.removesuffix(".py"))
    assert rooms_imported(PACKAGE / module) - {here} <= MAY_IMPORT.get(here, set())


@pytest.mark.parametrize("module", MODULES)
def test_every_import_can_be_followed(module: str) -> None:
    assert hidden((PACKAGE / module).read_text()) == []


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
def test_an_import_that_cannot_be_followed_is_seen(source: str) -> None:
    assert hidden(source) != []


def test_the_functions_import_nothing_of_ours_that_is_not_shipped_with_them() -> None:
    assert importers("app", "bench", "cli", "infra", "tests") == set()


def test_no_room_may_import_more_than_it_does() -> None:
    for name, allowed in MAY_IMPORT.items():
        modules = [module for module in MODULES if room(module.removesuffix(".py")) == name]
        assert set().union(*(rooms_imported(PACKAGE / module) for module in modules)) - {name} == allowed, name


def test_imports_go_one_way() -> None:
    order = list(MAY_IMPORT)
    for name, allowed in MAY_IMPORT.items():
        if name != "api":  # its document describes its routes, one of which serves it
            assert all(order.index(other) < order.index(name) for other in allowed), name


@pytest.mark.parametrize("libraries", KNOWN_BY)
def test_only_these_modules_know_a_library(libraries: str) -> None:
    assert importers(*libraries.split()) == KNOWN_BY[libraries]


def test_only_the_api_knows_chalice() -> None:
    assert {room(module.removesuffix(".py")) for module in importers("chalice")} == {"api", "api/http"}


def test_only_schema_code_knows_sqlalchemy() -> None:
    assert {room(module.removesuffix(".py")) for module in importers("sqlalchemy", "alembic")} == {"migrations"}


def test_what_is_measured_does_not_know_the_form_of_metrics() -> None:
    assert {m for m in MODULES if "chalicelib.monitoring.metrics" in imports(PACKAGE / m)} == {"services.py"}


@pytest.mark.parametrize("package", [module for module in MODULES if module.endswith("__init__.py")])
def test_every_room_says_what_lives_there(package: str) -> None:
    lines = (PACKAGE / package).read_text()
    doc = ast.get_docstring(ast.parse(lines)) or ""
    assert len(doc) > 80
    assert ast.parse(lines).body[1:] == []  # a room has no code in its door


def test_no_name_of_a_module_is_used_twice() -> None:
    names = [Path(module).name for module in MODULES if not module.endswith("__init__.py")]
    assert sorted(names) == sorted({*names})


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_one_name_everywhere(module: str) -> None:
    """An import under another name would be a second one."""
    renamed = [
        alias.name
        for node in ast.walk(ast.parse((PACKAGE / module).read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if alias.asname
    ]
    assert renamed == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_can_be_read_at_a_sitting(module: str) -> None:
    assert len((PACKAGE / module).read_text().splitlines()) <= MOST_LINES


def parameters(function: ast.FunctionDef) -> int:
    given = function.args
    return len([*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, [given.vararg, given.kwarg])])


def fields(dataclass: ast.ClassDef) -> int:
    """How many parameters the constructor has that is made of a dataclass. A record, which only holds what it is made
    of, counts as none: it is filled from a row or a document that has as many members."""
    methods = [node for node in dataclass.body if isinstance(node, ast.FunctionDef)]
    decorators = [{ast.unparse(decorator) for decorator in node.decorator_list} for node in methods]
    if dataclass.name in DECLARATIONS or all(names & {"property", "classmethod"} for names in decorators):
        return 0
    given = [
        node
        for node in dataclass.body
        if isinstance(node, ast.AnnAssign)
        and not ast.unparse(node.target).startswith("_")
        and "ClassVar" not in ast.unparse(node.annotation)
    ]
    return 1 + len(given)


def too_wide(tree: ast.Module) -> list[str]:
    """The functions and constructors with more parameters than anybody can keep in mind."""
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
    assert too_wide(ast.parse((PACKAGE / module).read_text())) == []


def test_too_many_parameters_are_seen() -> None:
    seven = ", ".join(f"p{n}: int" for n in range(7))
    members = "; ".join(f"p{n}: int" for n in range(7))
    wide = f"class A:\n def __init__(self, {seven}): ...\n@dataclass\nclass B:\n {members}\n def work(self): ...\n"
    assert too_wide(ast.parse(wide)) == ["__init__", "B"]
    assert too_wide(ast.parse(wide.replace("p6: int", ""))) == []


def test_a_cold_start_of_the_api_loads_only_what_it_needs() -> None:
    heavy = ["boto3", "botocore", "fastavro", "sqlalchemy", "alembic", "gzip"]
    heavy += ["chalicelib.api.openapi.document", "chalicelib.monitoring.metrics", "chalicelib.monitoring.gauges"]
    code = f"import sys, app; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_line_imports_nothing_else_of_ours() -> None:
    for path in (ROOT / "cli").rglob("*.py"):
        assert not {name for name in imports(path) if name.split(".")[0] in ("infra", "chalicelib", "app", "tests")}


def test_there_is_one_http_client_and_one_table_printer() -> None:
    clients = {"urllib3", "urllib.request", "http.client", "requests", "httpx"}
    product = [path for folder in ("cli", "infra") for path in sorted((ROOT / folder).rglob("*.py"))]
    speaking = {str(path.relative_to(ROOT)) for path in product if imports(path) & clients}
    assert speaking == {"cli/http.py", "cli/routes.py"}  # which asks urllib.request for the environment's proxies
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
