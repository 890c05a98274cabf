"""Tests how the key of an object gives its dataset and format, and how an event gives its object versions."""

import io
from typing import Any

import pytest

from chalicelib.core.datasets import DATASETS, by_file_name, children
from chalicelib.core.errors import LoadError
from chalicelib.formats import avro
from chalicelib.ingest.events import created_objects
from chalicelib.ingest.file_types import FileType


def event(**item: Any) -> dict[str, Any]:
    return {"Records": [{"s3": {"bucket": {"name": "landing"}, "object": {"key": "jobs.csv", "eTag": "e", **item}}}]}


@pytest.mark.parametrize(
    ("key", "dataset", "suffix"),
    [
        ("departments.csv", "departments", ".csv"),
        ("2021/07/jobs-eu.csv.gz", "jobs", ".csv.gz"),
        ("restores/7/hired_employees.avro", "hired_employees", ".avro"),
        ("departments/jobs.csv", "jobs", ".csv"),
    ],
)
def test_the_base_name_of_a_key_gives_dataset_and_format(key: str, dataset: str, suffix: str) -> None:
    assert FileType.of(key) == FileType(DATASETS[dataset], suffix)


@pytest.mark.parametrize("key", ["jobs", "jobs.tsv", "my_jobs.csv", "Jobs.csv", "jobs/x.csv", "jobs.gz", ".csv", ""])
def test_other_objects_have_no_type(key: str) -> None:
    assert FileType.of(key) is None


@pytest.mark.parametrize(
    ("sent", "key"), [("a+b%2Bc/jobs.csv", "a b+c/jobs.csv"), ("a%20%C3%BC/jobs.csv", "a ü/jobs.csv")]
)
def test_encoded_keys_in_events_are_decoded(sent: str, key: str) -> None:
    [created] = created_objects(event(key=sent))
    assert (created.key, created.source) == (key, f"s3://landing/{key}")


def test_versions_of_a_key_differ_with_and_without_versioning() -> None:
    [versioned] = created_objects(event(versionId="v1", sequencer="0A"))
    assert (versioned.version, versioned.version_id, versioned.sequencer) == ("v1", "v1", "0A")
    [plain] = created_objects(event(sequencer="0A"))
    [again] = created_objects(event(sequencer="0B"))
    assert plain.version_id is None
    assert plain.version != again.version


def test_events_of_folders_are_ignored() -> None:
    assert list(created_objects(event(key="jobs.csv/"))) == []


def test_a_file_name_belongs_to_the_dataset_with_the_longest_matching_name() -> None:
    assert by_file_name("hired_employees_jobs.csv") == DATASETS["hired_employees"]


def test_parents_are_declared_before_their_children() -> None:
    assert DATASETS["hired_employees"] in children(DATASETS["jobs"])
    names = list(DATASETS)
    for dataset in DATASETS.values():
        assert all(names.index(parent) < names.index(dataset.name) for _, parent in dataset.references)


def test_only_an_own_backup_may_exceed_the_compression_ratio() -> None:
    jobs, rows, file = DATASETS["jobs"], 1800, io.BytesIO()
    avro.write(jobs, [(list(range(1, rows + 1)), ["x" * 10_000] * rows)], file)
    own = FileType(jobs, ".avro", is_own_backup=True)
    assert sum(token.lines for token in own.tokens(io.BytesIO(file.getvalue()))) == rows
    assert own.seeker(io.BytesIO(file.getvalue())).record(rows).fields == (b"1800", b"x" * 10_000)
    with pytest.raises(LoadError, match="may be an attack"):
        list(FileType(jobs, ".avro").tokens(io.BytesIO(file.getvalue())))
