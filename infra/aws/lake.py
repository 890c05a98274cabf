"""The backups as tables of Athena: `python -m infra.aws.lake` writes templates/lake.yaml.

Athena takes all files of a folder for one table, and a restore point's folder holds the files of all
of them. So the tables do not list folders but read, in Hive's SymlinkTextInputFormat, the name of
their one file, which the backup wrote for them (`chalicelib.backups.manifest.link_key`): what S3
Inventory does with its lists. Where a table's link lies follows from the restore point that a query
names (partition projection, type `injected`), so nothing has to be registered when a backup is made.

Athena reads timestamp-micros as what it is stored as: bigint, microseconds since 1970 UTC.
"""

import json
from pathlib import Path
from string import Template

from chalicelib.backups import manifest
from chalicelib.core.datasets import DATASETS, Column, Dataset, Kind
from chalicelib.formats import avro
from infra.venv import ROOT

FILE = ROOT / "infra/aws/templates/lake.yaml"
QUERIES = {path.stem: path for path in sorted((Path(__file__).parent / "queries").glob("*.sql"))}
TYPES = {Kind.ID: "int", Kind.TEXT: "string", Kind.INSTANT: "bigint"}
_UNITS = {Kind.INSTANT: ", in microseconds since 1970 UTC"}

# $$ is a literal $, of CloudFormation's own ${…}.
_TEMPLATE = Template("""\
# Made by `python -m infra.aws.lake` from chalicelib/core/datasets.py and infra/aws/queries/: change those.
AWSTemplateFormatVersion: "2010-09-09"
Description: Hireflow's Avro backups as tables of Athena, and both reports over them.

Parameters:
  Stage:
    Type: String
    Default: prod
    AllowedPattern: "[a-z][a-z0-9]{0,15}"
    Description: The stage whose backups these are.
  BackupBucket:
    Type: String
    Description: The bucket of the backups, an output of the stack of storage.
  ScanLimit:
    Type: Number
    Default: 100000000000
    MinValue: 10000000
    Description: Bytes that one query may read before it is cancelled; Athena is paid by them.

Resources:
  Database:
    Type: AWS::Glue::Database
    Properties:
      CatalogId: !Ref AWS::AccountId
      DatabaseInput:
        Name: !Sub "hireflow_$${Stage}"
        Description: The restore points of Hireflow's backups.
$tables
  WorkGroup:
    Type: AWS::Athena::WorkGroup
    Properties:
      Name: !Sub "hireflow-$${Stage}"
      Description: Queries of Hireflow's backups.
      RecursiveDeleteOption: true
      WorkGroupConfiguration:
        EnforceWorkGroupConfiguration: true
        PublishCloudWatchMetricsEnabled: true
        BytesScannedCutoffPerQuery: !Ref ScanLimit
        EngineVersion:
          SelectedEngineVersion: Athena engine version 3
        # Results lie encrypted in Athena's own storage, for 24 hours: no bucket to guard and to empty.
        ManagedQueryResultsConfiguration:
          Enabled: true
$queries
  Reader:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Description: May query Hireflow's backups with Athena, and nothing else.
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Action:
              - athena:GetNamedQuery
              - athena:ListNamedQueries
              - athena:StartQueryExecution
              - athena:StopQueryExecution
              - athena:GetQueryExecution
              - athena:GetQueryResults
              - athena:GetQueryResultsStream
              - athena:GetWorkGroup
            Resource: !Sub "arn:$${AWS::Partition}:athena:$${AWS::Region}:$${AWS::AccountId}:workgroup/$${WorkGroup}"
          - Effect: Allow
            Action: [glue:GetDatabase, glue:GetTable, glue:GetTables, glue:GetPartition, glue:GetPartitions]
            Resource:
              - !Sub "arn:$${AWS::Partition}:glue:$${AWS::Region}:$${AWS::AccountId}:catalog"
              - !Sub "arn:$${AWS::Partition}:glue:$${AWS::Region}:$${AWS::AccountId}:database/$${Database}"
              - !Sub "arn:$${AWS::Partition}:glue:$${AWS::Region}:$${AWS::AccountId}:table/$${Database}/*"
          - Effect: Allow
            Action: [s3:GetBucketLocation, s3:ListBucket]
            Resource: !Sub "arn:$${AWS::Partition}:s3:::$${BackupBucket}"
          - Effect: Allow
            Action: s3:GetObject
            Resource: !Sub "arn:$${AWS::Partition}:s3:::$${BackupBucket}/$root*"

Outputs:
  DatabaseName:
    Value: !Ref Database
  WorkGroupName:
    Value: !Ref WorkGroup
  ReaderPolicyArn:
    Value: !Ref Reader
$outputs""")

_TABLE = Template("""
  $name:
    Type: AWS::Glue::Table
    Properties:
      CatalogId: !Ref AWS::AccountId
      DatabaseName: !Ref Database
      TableInput:
        Name: $dataset
        TableType: EXTERNAL_TABLE
        PartitionKeys:
          - Name: restore_point
            Type: string
        Parameters:
          EXTERNAL: "TRUE"
          classification: avro
          projection.enabled: "true"
          projection.restore_point.type: injected
          storage.location.template: !Sub "s3://$${BackupBucket}/$folder"
        StorageDescriptor:
          Location: !Sub "s3://$${BackupBucket}/$root"
          InputFormat: org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat
          OutputFormat: org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat
          SerdeInfo:
            SerializationLibrary: org.apache.hadoop.hive.serde2.avro.AvroSerDe
            Parameters:
              avro.schema.literal: >-
                $schema
          Columns:
$columns""")

_COLUMN = Template("""\
            - Name: $name
              Type: $type
              Comment: $about
""")

_QUERY = Template("""
  $name:
    Type: AWS::Athena::NamedQuery
    Properties:
      Name: !Sub "hireflow-$${Stage}-$report"
      Description: $about
      Database: !Ref Database
      WorkGroup: !Ref WorkGroup
      QueryString: |
$sql""")

_OUTPUT = Template("""\
  $name:
    Value: !GetAtt $query.NamedQueryId
""")


def template() -> str:
    """The text of templates/lake.yaml."""
    return _TEMPLATE.substitute(
        tables="".join(map(_table, DATASETS.values())),
        queries="".join(map(_query, QUERIES)),
        outputs="".join(_OUTPUT.substitute(name=f"{r.title()}QueryId", query=f"{r.title()}Query") for r in QUERIES),
        root=manifest.ROOT,
    )


def schema_literal(dataset: Dataset) -> str:
    """The Avro schema that its table is read with: the files' own."""
    return json.dumps(avro.schema(dataset))


def _table(dataset: Dataset) -> str:
    return _TABLE.substitute(
        name="".join(map(str.title, dataset.name.split("_"))),
        dataset=dataset.name,
        root=manifest.ROOT,
        folder=manifest.link_key("${!restore_point}", dataset.name).rpartition("/")[0] + "/",
        schema=schema_literal(dataset),
        columns="".join(map(_column, dataset.columns)),
    )


def _column(column: Column) -> str:
    return _COLUMN.substitute(
        name=column.name, type=TYPES[column.kind], about=json.dumps(column.about + _UNITS.get(column.kind, ""))
    )


def _query(report: str) -> str:
    sql = QUERIES[report].read_text()
    about = sql.split("\n")[0].removeprefix("-- ").rstrip(":.")
    return _QUERY.substitute(
        name=f"{report.title()}Query",
        report=report,
        about=json.dumps(about),
        sql="".join(f"        {line}\n" for line in sql.splitlines()),
    )


if __name__ == "__main__":
    FILE.write_text(template())
