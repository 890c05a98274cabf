"""Tests that the documentation names every status, count, reject reason, metric and log field, and that each one it
names exists."""

import ast
import itertools
import logging
import re
import sys
from pathlib import Path

import pytest

from chalicelib.api.openapi.load_schemas import LOAD
from chalicelib.backups.manifest import StoredFile
from chalicelib.backups.run import BackupRun
from chalicelib.core.datasets import DATASETS
from chalicelib.core.kinds.booleans import WORDS
from chalicelib.core.kinds.decimals import MAX_PRECISION
from chalicelib.core.kinds.table import KINDS, Kind
from chalicelib.core.logs import Formatter
from chalicelib.core.reasons import CODES, OTHER_CODE, REASONS
from chalicelib.core.value_limits import MAX_ID, MAX_TEXT, MAX_WHOLE_NUMBER, MIN_WHOLE_NUMBER
from chalicelib.ingest.rejects import OTHER
from chalicelib.loads.outcomes import STATUSES, Counts, Ended
from chalicelib.monitoring.metrics import UNITS, Metrics
from infra.venv import ROOT
from tests import pages
from tests.openapi import described

API, FILES, MONITORING = "docs/api.md", "docs/files.md", "docs/monitoring.md"
SOURCES = sorted((ROOT / "chalicelib").rglob("*.py"))


def column(page: str, *header: str) -> list[str]:
    """Return the code spans in the first column of a table. Return the text of a cell that has no code span."""
    return [name for row in pages.table(page, *header) for name in pages.names(row[0]) or [row[0]]]


# --- statuses


def test_every_status_of_http_is_described() -> None:
    operations = (item[method] for item in described().document["paths"].values() for method in item)
    declared = {status for each in operations if "responses" in each for status in each["responses"]}
    assert sorted(column(API, "status", "when") + column(API, "status", "of a successful request")) == sorted(declared)


def test_every_status_kind_and_count_of_a_load_is_described() -> None:
    assert column(API, "status of a load") == [*STATUSES]
    assert column(API, "kind of a load") == LOAD["properties"]["kind"]["enum"]
    assert column(API, "count", "rows that") == [*vars(Counts()), "waiting", "resolved"]


def test_every_name_of_a_column_is_described() -> None:
    described_names = {row[0]: pages.names(row[1]) for row in pages.table(FILES, "dataset and column", "other names")}
    assert described_names == {
        f"{dataset.name}: `{each.name}`": list(each.aliases)
        for dataset in DATASETS.values()
        for each in dataset.columns
        if each.aliases
    }


# --- reasons of rejects


def pattern(text: str) -> str:
    """Return a regular expression that matches the texts of a reason, with any values."""
    return re.sub(r"\\\{\w+\\\}", ".+", re.escape(text))


def described_reasons() -> list[tuple[str, str, str]]:
    """Return the text, the code and the advice of each reason in the documentation."""
    rows = pages.table(FILES, "reason", "code", "about")
    return [(pages.names(reason)[0], pages.names(code)[0], advice) for reason, code, _, advice in rows]


def test_every_reason_of_a_reject_is_described_with_its_code_and_exists() -> None:
    documented, declared = described_reasons(), [(pattern(str(reason)), reason.code) for reason in REASONS]
    assert len(declared) > 20
    for text, code, _ in documented:
        assert any(re.fullmatch(known, text) and code == of_known for known, of_known in declared), text
    for known, of_known in declared:
        assert any(re.fullmatch(known, text) and code == of_known for text, code, _ in documented), known


def test_the_codes_of_reasons_stay_the_same() -> None:
    """Programs of users read the codes. A code may be added, but no code may change."""
    assert [*CODES, OTHER_CODE] == [
        *("missing", "not_an_id", "not_a_datetime", "not_a_date", "out_of_range", "not_a_whole_number"),
        *("not_a_decimal", "too_many_decimals", "not_a_boolean", "not_text", "too_long", "nul", "excel_error"),
        *("half_surrogate", "not_utf8", "unknown_parent", "no_free_id", "wrong_field_count", "record_too_long"),
        *("never_closed", "bad_quoting", "not_an_object", "unknown_column", "other"),
    ]


def test_every_kind_of_column_is_described_as_it_is_declared() -> None:
    rows = pages.table(FILES, "kind", "declared as", "valid values")
    kinds = {name: eval(pages.names(declared)[0], {"Kind": Kind}) for name, declared, _ in rows}
    assert tuple(kinds.values()) == KINDS
    assert [*kinds] == [kind.name.partition("(")[0] for kind in KINDS]
    values = {name: described for name, _, described in rows}
    assert all(f"`{word}`" in values["boolean"] for word in WORDS)
    assert all(str(limit) in values["whole number"] for limit in (MIN_WHOLE_NUMBER, MAX_WHOLE_NUMBER))
    assert f"up to {MAX_PRECISION}" in values["decimal"]


@pytest.mark.parametrize("page", [pages.README, FILES])
def test_the_table_of_datasets_has_their_columns_in_order(page: str) -> None:
    rows = re.findall(r"^\| (\w+) \| ((?:`\w+`(?:, )?)+) \|", pages.text(page), re.MULTILINE)
    assert {name: pages.names(columns) for name, columns in rows if name in DATASETS} == {
        name: [*dataset.column_names] for name, dataset in DATASETS.items()
    }


def test_general_reasons_are_described() -> None:
    generals = {pattern(reason.general) for reason in REASONS if reason.general}
    texts = {re.escape(text) for text in pages.names(pages.prose(FILES))}
    assert {each for each in generals if ".+" not in each} <= texts
    assert f"`{OTHER}`" in pages.text(FILES)
    assert f"`{OTHER_CODE}`" in pages.text(FILES)


def test_limits_in_documented_reasons_equal_those_of_the_rules() -> None:
    assert f"is longer than {MAX_TEXT} characters" in column(FILES, "reason", "code", "about")
    assert f"is not a whole number from 1 to {MAX_ID}" in column(FILES, "reason", "code", "about")


# --- metrics and log fields


def test_every_metric_is_described_with_its_unit() -> None:
    units: dict[str, str] = {}
    for names, unit, _ in pages.table(MONITORING, "metric", "unit"):
        units |= dict(zip(pages.names(names), itertools.cycle(unit.split(", ")), strict=False))
    assert units == UNITS


def fields_of_metrics(caplog: pytest.LogCaptureFixture) -> set[str]:
    """Return the fields of log lines with metrics, without the metrics themselves."""
    usual = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "emf"}
    metrics, logger = Metrics("local"), logging.getLogger("hireflow")
    logger.addHandler(caplog.handler)
    try:
        metrics.of_load(Ended("jobs", "succeeded", 1.0, Counts()))
        metrics.of_backup(BackupRun("created", "2021", {"jobs": StoredFile(1, 1, "")}))
    finally:
        logger.removeHandler(caplog.handler)
    return {name for record in caplog.records for name in record.__dict__} - usual - UNITS.keys()


def fields_of_an_exception() -> set[str]:
    """Return the fields of the log line that the formatter writes for an exception."""
    try:
        raise ValueError
    except ValueError:
        record = logging.LogRecord("hireflow", logging.ERROR, "", 0, "", (), sys.exc_info())
    record.__dict__["emf"] = {}
    line = Formatter().format(record)
    return {*re.findall(r'"(at|level|logger|message|exceptions|_aws)":', line)}


def fields_in_source(path: Path) -> set[str]:
    """Return the fields that a module adds to its log lines. The fields are arguments of `logs.about`, or keys of the
    dictionaries that it passes as `extra`."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        inside = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        for call in inside:
            if ast.unparse(call.func) == "logs.about":
                found |= {str(keyword.arg) for keyword in call.keywords}
        extras = [keyword.value for call in inside for keyword in call.keywords if keyword.arg == "extra"]
        if extras:
            found |= _keys_of(extras, function)
    return found


def _keys_of(extras: list[ast.expr], function: ast.FunctionDef) -> set[str]:
    """Return the keys of the dictionaries in these expressions, and of the dictionaries in the variables that the
    expressions use."""
    used = {node.id for extra in extras for node in ast.walk(extra) if isinstance(node, ast.Name)}
    assigned = [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and {ast.unparse(target) for target in node.targets} & used
    ]
    expressions = [*extras, *assigned]
    keys = {
        key.value
        for expression in expressions
        for node in ast.walk(expression)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }
    counts = any("counts" in ast.unparse(extra) for extra in extras)
    return keys | (vars(Counts()).keys() if counts else set())


def test_every_field_of_a_log_line_is_described(caplog: pytest.LogCaptureFixture) -> None:
    modules = [path for path in SOURCES if path.name not in ("metrics.py", "logs.py")]
    written = set().union(*map(fields_in_source, modules))
    written |= fields_of_an_exception() | fields_of_metrics(caplog)
    assert sorted(column(MONITORING, "field of a line")) == sorted(written)
