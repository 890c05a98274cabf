"""Tests the template of the Athena tables, which is generated from the declared datasets."""

import io
import json
import re
from datetime import date
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from cfnlint.decode import decode, decode_str

from chalicelib.backups import manifest
from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.kinds.table import Kind
from chalicelib.formats import avro
from infra.aws import lake
from tests.orders import OLD, ORDERS, in_columns
from tests.templates import parsed


def test_the_template_is_up_to_date_with_the_declaration() -> None:
    assert lake.FILE.read_text() == lake.template(), "run: python -m infra.aws.lake"


def test_every_stage_may_have_the_tables_although_sql_names_have_no_hyphens() -> None:
    template, problems = decode(str(lake.FILE))
    assert not problems
    stage = template["Parameters"]["Stage"]
    assert stage["AllowedPattern"] == parsed("storage")["Parameters"]["Stage"]["AllowedPattern"]
    text, variables = template["Resources"]["Database"]["Properties"]["DatabaseInput"]["Name"]["Fn::Sub"]
    between, split = variables["Words"]["Fn::Join"]
    assert (text, split) == ("hireflow_${Words}", {"Fn::Split": ["-", {"Ref": "Stage"}]})
    assert re.fullmatch(r"\w+", text.replace("${Words}", between.join(["prod", "eu", "2"])))


def test_arns_have_the_partition_of_the_region() -> None:
    for template in lake.FILE.parent.glob("**/*.yaml"):
        assert not re.search(r"arn:aws[\w-]*:", template.read_text()), template.name


@pytest.mark.parametrize("name", DATASETS)
def test_a_table_has_the_schema_and_the_column_order_of_its_files(name: str) -> None:
    [_, table] = lake.template().split(f"        Name: {name}\n")
    table = table.split("AWS::")[0]
    [literal] = re.findall(r"avro\.schema\.literal: >-\n *(.*)\n", table)
    schema = avro.schema(DATASETS[name])
    for field in schema["fields"][1:]:  # a column may be newer than a file
        field["type"] = field["type"] if isinstance(field["type"], list) else ["null", field["type"]]
        field["default"] = None
    assert json.loads(literal) == schema
    columns = re.findall(r"- Name: (\w+)\n +Type: (\S+)\n", table)
    assert columns == [("restore_point", "string"), *((c.name, c.kind.athena) for c in DATASETS[name].columns)]


@pytest.mark.parametrize("name", DATASETS)
def test_a_partition_is_the_folder_of_the_link(name: str) -> None:
    point = "20210727T160208.123456Z"
    [location] = re.findall(rf'template: !Sub "s3://\$\{{BackupBucket\}}/(.*/{name}/)"', lake.template())
    folder = location.replace("${!restore_point}", point)
    assert manifest.link_key(point, name).startswith(folder)
    assert not manifest.key(point, name).startswith(folder)


@pytest.mark.parametrize("report", lake.QUERIES)
def test_query_parameters_stand_where_athena_accepts_them(report: str) -> None:
    """Athena accepts a parameter `?` only in WHERE. Athena can read a table only if the query has a condition
    `restore_point = …`."""
    sql = re.sub("--.*", "", lake.QUERIES[report].read_text())
    assert len(re.findall(r"\?", sql)) == len(re.findall(r"WHERE (?:restore_point|year\(hired_on\)) = \?", sql))
    for dataset in re.findall(rf"FROM ({'|'.join(DATASETS)})\b", sql):
        assert f"FROM {dataset} WHERE restore_point = ?" in sql


def test_one_table_reads_the_files_of_older_and_of_newer_restore_points() -> None:
    schema = fastavro.parse_schema(json.loads(lake.schema_literal(ORDERS)))
    found: list[Any] = []
    for dataset, row in ((OLD["order"], (1, 2, 1250)), (ORDERS, (2, 2, 5, *[None] * 8, 0, 125))):
        file = io.BytesIO()
        avro.write(dataset, [in_columns(dataset, [row])], file)
        found += fastavro.reader(io.BytesIO(file.getvalue()), schema)
    names = ORDERS.column_names
    assert [found[0][name] for name in names] == [1, 2, Decimal("12.50"), *[None] * 10]
    assert [found[1][name] for name in names[-2:]] == [date(1970, 1, 1), Decimal("1.25")]
    assert set(found[1]) == set(names)


def test_names_may_be_words_of_yaml_or_names_of_other_resources() -> None:
    flag = Column("on", Kind.BOOLEAN, optional=True)
    datasets = [Dataset(name, f"one_{name}", (Column("id", Kind.ID), flag)) for name in ("database", "no", "top_query")]
    template, problems = decode_str(lake.template(datasets))
    assert not problems
    resources = template["Resources"]
    tables = {name: r["Properties"]["TableInput"] for name, r in resources.items() if r["Type"] == "AWS::Glue::Table"}
    assert [table["Name"] for table in tables.values()] == ["database", "no", "top_query"]
    for table in tables.values():
        columns = table["StorageDescriptor"]["Columns"]
        assert [(c["Name"], c["Type"]) for c in columns] == [("id", "int"), ("on", "boolean")]
    assert {"Database", "TopQuery", "WorkGroup", "Reader"} <= set(resources)


def test_every_table_has_a_logical_id_of_its_own_that_other_tables_do_not_change() -> None:
    names = ["a1", "a_1", "a_b", "a__b", "a_b_", "ab", "a1b", "a1_b", "on_", "database", "database_table", "stage"]
    names += ["scan_limit", "backup_bucket", "work_group_", "hired_employees"]
    flag = Column("flag", Kind.BOOLEAN, optional=True)
    datasets = [Dataset(name, f"one_{name}", (Column("id", Kind.ID), flag)) for name in names]

    def ids(*of: Dataset) -> dict[str, str]:
        template, problems = decode_str(lake.template(of))
        assert not problems
        found = template["Resources"].items()
        assert not {*template["Parameters"]} & {name for name, _ in found}
        return {r["Properties"]["TableInput"]["Name"]: n for n, r in found if r["Type"] == "AWS::Glue::Table"}

    together = ids(*datasets)
    assert [*together] == names
    assert together["hired_employees"] == "HiredEmployees"
    assert {name: found for dataset in datasets for name, found in ids(dataset).items()} == together


def test_glue_accepts_the_comment_of_every_column() -> None:
    about = {"long": "x" * 300, "smile": "a smile \U0001f600", "lines": "one\n\ttwo"}
    columns = (Column("id", Kind.ID), *(Column(name, Kind.TEXT, about=text) for name, text in about.items()))
    template, problems = decode_str(lake.template([Dataset("notes", "note", columns)]))
    assert not problems
    found = template["Resources"]["Notes"]["Properties"]["TableInput"]["StorageDescriptor"]["Columns"]
    assert [c["Comment"] for c in found][1:] == ["x" * 254 + "…", "a smile \U0001f600", "one two"]


def test_the_comment_of_a_column_without_a_description_is_the_unit_alone() -> None:
    marks = Dataset("marks", "mark", (Column("id", Kind.ID), Column("at", Kind.INSTANT), Column("text", Kind.TEXT)))
    template, problems = decode_str(lake.template([marks]))
    assert not problems
    columns = template["Resources"]["Marks"]["Properties"]["TableInput"]["StorageDescriptor"]["Columns"]
    assert [column["Comment"] for column in columns] == ["", "in microseconds since 1970 UTC", ""]
