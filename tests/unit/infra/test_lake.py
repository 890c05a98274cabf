"""Tests the template of the Athena tables, which is generated from the declared datasets."""

import json
import re

import pytest
from cfnlint.decode import decode

from chalicelib.backups import manifest
from chalicelib.core.datasets import DATASETS
from chalicelib.formats import avro
from infra.aws import lake
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
    assert json.loads(literal) == avro.schema(DATASETS[name])
    columns = re.findall(r"- Name: (\w+)\n +Type: (\w+)\n", table)
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
