"""Tests that alarms, the dashboard of CloudWatch and the saved queries use metrics and fields that exist, and that the
documentation describes each alarm and each query.

tests/cloudwatch.json has the names that AWS documents, each list with its source and the date on which it was read.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.loads.outcomes import STATUSES
from chalicelib.monitoring.metrics import NAMESPACE, UNITS
from infra.venv import ROOT
from tests import pages
from tests.templates import parsed, resources, texts
from tests.unit.test_templates import functions

OPERATIONS, MONITORING = "docs/operations.md", "docs/monitoring.md"
DOCUMENTED: dict[str, Any] = json.loads((ROOT / "tests" / "cloudwatch.json").read_text())
INSIGHTS = DOCUMENTED["logs_insights"]
LONGEST_DESCRIPTION = 1024  # characters; the most that CloudWatch allows in the description of an alarm
SEARCH = re.compile(r"SEARCH\('\{([\w/]+),([\w,]+)\} MetricName=\"(\w+)\"")


# --- alarms


def alarms() -> dict[str, str]:
    """Return the description of each alarm by its name, without the stage and the function."""
    found: dict[str, str] = {}
    loop = parsed("operations")["Resources"]["Fn::ForEach::Metrics"]
    for alarm in resources(parsed("operations"), "AWS::CloudWatch::Alarm").values():
        properties = alarm["Properties"]
        name, described = ("".join(texts(properties[key])) for key in ("AlarmName", "AlarmDescription"))
        short = name.removeprefix("hireflow-${Stage}-").removeprefix("${Function}-")
        short = short if short.partition("-")[2] not in loop[1] else short.partition("-")[2]
        for metric in loop[1] if "${Metric}" in short else [""]:
            found[short.replace("${Metric}", metric)] = described.replace("${Metric}", metric)
    return found


def sections() -> dict[str, str]:
    """Return the sections of the documentation about alarms, by the names of the alarms."""
    found = re.split(r"^### Alarm: (.*)\n", pages.text(OPERATIONS), flags=re.MULTILINE)[1:]
    return {
        name: re.split(r"^#", text, flags=re.MULTILINE)[0] for name, text in zip(found[::2], found[1::2], strict=True)
    }


def test_each_alarm_has_its_section() -> None:
    assert {*alarms()} == {*sections()}
    assert len(alarms()) > 5


@pytest.mark.parametrize("name", list(alarms()))
def test_the_description_of_an_alarm_names_its_section(name: str) -> None:
    described = alarms()[name]
    assert described.endswith(f". See 'Alarm: {name}' in {OPERATIONS}")
    assert len(described) < LONGEST_DESCRIPTION


@pytest.mark.parametrize("name", list(sections()))
def test_the_section_of_an_alarm_says_what_it_means_how_to_look_and_what_to_do(name: str) -> None:
    parts = re.findall(r"\*\*([\w ]+)\.\*\*\s+(\S[^*]+)", sections()[name])
    assert [title for title, _ in parts] == ["What it means", "How to look", "What to do"]
    assert all(len(text) > 40 for _, text in parts)


# --- metrics


def used_metrics(tree: Any) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield (namespace, name, names of the dimensions) of each metric in alarms, in widgets, and in searches."""
    if isinstance(tree, dict) and "MetricName" in tree:
        for names in dimensions_of(tree["Dimensions"]):
            yield tree["Namespace"], tree["MetricName"], names
    elif isinstance(tree, list) and tree and isinstance(tree[0], str) and re.match(rf"AWS/|{NAMESPACE}$", tree[0]):
        # Every second element is the name of a dimension. The last element may hold options, and is then not a text.
        yield tree[0], tree[1], tuple(sorted(name for name in tree[2::2] if isinstance(name, str)))
    elif isinstance(tree, str):
        for namespace, dimensions, name in SEARCH.findall(tree):
            yield namespace, name, tuple(sorted(dimensions.split(",")))
    else:
        for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
            yield from used_metrics(value)


def dimensions_of(dimensions: Any) -> Iterator[tuple[str, ...]]:
    """Yield the names of the dimensions. If a condition chooses the name of a dimension, yield both combinations."""
    names = [each["Name"] for each in dimensions]
    for branch in (1, 2) if any(isinstance(name, dict) for name in names) else (1,):
        yield tuple(sorted(name["Fn::If"][branch] if isinstance(name, dict) else name for name in names))


def all_used() -> set[tuple[str, str, tuple[str, ...]]]:
    template = parsed("operations")["Resources"]
    loop = template["Fn::ForEach::Metrics"][1]
    return {
        (namespace, metric, dimensions)
        for namespace, name, dimensions in used_metrics(template)
        for metric in (loop if isinstance(name, dict) else [name])
    }


def exists(namespace: str, name: str, dimensions: tuple[str, ...]) -> bool:
    if namespace == NAMESPACE:
        return name in UNITS and dimensions in {("service", "stage"), ("dataset", "service", "stage")}
    documented = DOCUMENTED["metrics"].get(namespace, {"names": [], "dimensions": []})
    return name in documented["names"] and list(dimensions) in [sorted(each) for each in documented["dimensions"]]


def test_every_metric_of_alarms_and_of_the_dashboard_exists() -> None:
    used = all_used()
    assert {"AWS/Lambda", "AWS/ApiGateway", "AWS/SQS", "AWS/RDS", NAMESPACE} == {namespace for namespace, *_ in used}
    assert ("AWS/Lambda", "Duration", ("FunctionName",)) in used, "the searches of the dashboard are read"
    assert [each for each in sorted(used) if not exists(*each)] == []


@pytest.mark.parametrize(
    "missing",
    [
        ("AWS/Lambda", "Failures", ("FunctionName",)),
        ("AWS/Lambda", "Errors", ("Function",)),
        ("AWS/Nothing", "Errors", ()),
        (NAMESPACE, "BackupLag", ("stage",)),
        (NAMESPACE, "BackupsLag", ("service", "stage")),
    ],
)
def test_a_metric_that_does_not_exist_is_found(missing: tuple[str, str, tuple[str, ...]]) -> None:
    assert not exists(*missing)


def test_every_list_of_names_has_a_source_and_a_date() -> None:
    for listed in (*DOCUMENTED["metrics"].values(), INSIGHTS):
        assert listed["source"].startswith("https://docs.aws.amazon.com/")
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", listed["read"])


# --- saved queries


def queries() -> dict[str, str]:
    return {entry["Name"]: entry["Text"] for entry in parsed("queries")["Mappings"]["Queries"].values()}


def fields() -> set[str]:
    """Return the fields of our log lines, as docs/monitoring.md lists them. Metrics are fields, too."""
    listed = [row[0] for row in pages.table(MONITORING, "field of a line")]
    return {name for cell in listed for name in pages.names(cell)} | UNITS.keys()


def members() -> set[str]:
    """Return the members that the log line of an exception has."""
    [about] = [row[1] for row in pages.table(MONITORING, "field of a line") if row[0] == "`exceptions`"]
    return {*pages.names(about)}


def unknown(query: str) -> list[str]:
    """Return the commands, functions and fields of a query that do not exist."""
    found: list[str] = []
    plain = re.sub(r'"[^"]*"', '""', query)
    aliases = set(re.findall(r"\bas (\w+)", plain))
    known = {*INSIGHTS["words"], *INSIGHTS["fields"], *INSIGHTS["fields_of_lambda"], *fields(), *aliases}
    for command in plain.split("|"):
        word, _, rest = command.strip().partition(" ")
        found += [] if word in INSIGHTS["commands"] else [word]
        for name, call in re.findall(r"(@?[A-Za-z_][\w.]*)(\()?", re.sub(r"\b\d+[a-z]?\b", "", rest)):
            base, _, member = name.partition(".")
            if call:
                found += [] if name in INSIGHTS["functions"] else [name]
            elif member:
                found += [] if base == "exceptions" and member.lstrip(".") in members() else [name]
            elif name not in known:
                found.append(name)
    return found


@pytest.mark.parametrize("name", list(queries()))
def test_a_query_uses_commands_and_fields_that_exist(name: str) -> None:
    assert unknown(queries()[name]) == []


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("fields @timestamp, mesage", ["mesage"]),
        ("field message", ["field"]),
        ("fields @time", ["@time"]),
        ('filter level = "ERROR" | stats total(seconds) as all by load_id', ["total"]),
        ("fields exceptions.0.kind", ["exceptions.kind"]),
        ("stats count(*) by function | sort status desc", ["function"]),
    ],
)
def test_a_wrong_query_is_found(query: str, wrong: list[str]) -> None:
    assert [each.replace("..", ".") for each in unknown(query)] == wrong


def messages() -> set[str]:
    """Return those messages of our log lines that contain no variable part, so that a query can compare the whole
    message."""
    logged = re.compile(r'_log\.\w+\(\s*(?:level, )?f?"([^"]+)"')
    sources = "\n".join(path.read_text() for path in sorted(Path(ROOT / "chalicelib").rglob("*.py")))
    found = set(logged.findall(sources))
    return found | {f"load {status}" for status in STATUSES if "load {outcome.status}" in found}


@pytest.mark.parametrize("name", list(queries()))
def test_a_query_looks_for_messages_that_are_logged(name: str) -> None:
    compared = re.findall(r'message (?:= ("[^"]+")|in \[([^\]]+)\])', queries()[name])
    wanted = {text for pair in compared for text in re.findall(r'"([^"]+)"', "".join(pair))}
    assert wanted <= messages()


def test_each_query_is_described() -> None:
    described = [pages.names(row[0])[0] for row in pages.table(MONITORING, "query", "what it shows")]
    assert described == [*queries()]


def test_all_queries_are_saved_and_read_the_logs_of_all_functions() -> None:
    [_, names, made] = parsed("queries")["Resources"]["Fn::ForEach::LogQueries"]
    assert names == [*parsed("queries")["Mappings"]["Queries"]]
    groups = [text["Fn::Sub"] for text in made["${Query}Query"]["Properties"]["LogGroupNames"]]
    suffixes = {"" if function == "api" else f"-{function}" for function in functions()}
    assert {*groups} == {f"/aws/lambda/hireflow-${{Stage}}{suffix}" for suffix in suffixes}
