"""Tests how the key of an object gives its dataset and format, and how an event gives its object versions."""

import io
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.datasets import DATASETS, children
from chalicelib.core.errors import LoadError
from chalicelib.core.streams import Peekable
from chalicelib.formats import avro
from chalicelib.ingest.events import created_objects
from chalicelib.ingest.file_names import FileName, dataset_of
from chalicelib.ingest.file_reading import FileReading


def event(**item: Any) -> dict[str, Any]:
    return {"Records": [{"s3": {"bucket": {"name": "landing"}, "object": {"key": "jobs.csv", "eTag": "e", **item}}}]}


@pytest.mark.parametrize(
    ("key", "dataset", "ending"),
    [
        ("departments.csv", "departments", ".csv"),
        ("2021/07/jobs-eu.csv.gz", "jobs", ".csv.gz"),
        ("restores/7/hired_employees.avro", "hired_employees", ".avro"),
        ("departments/jobs.csv", "jobs", ".csv"),
        ("Departments.CSV", "departments", ".csv"),
        ("JOBS.csv.GZ", "jobs", ".csv.gz"),
        ("jobs.tsv", "jobs", ".tsv"),
        ("jobs_july.txt.gz", "jobs", ".txt.gz"),
        ("hired_employees 2021.xlsx", "hired_employees", ".xlsx"),
        ("department.csv", "departments", ".csv"),
        ("Department-2021_07(1).csv.gz", "departments", ".csv.gz"),
        ("hired_employee.avro", "hired_employees", ".avro"),
        ("departments/2021-07-27.csv", "departments", ".csv"),
        ("jobs/2021/07/export.csv", "jobs", ".csv"),
        ("departments/jobs/x.csv", "jobs", ".csv"),
    ],
)
def test_the_base_name_tells_the_dataset_or_else_the_nearest_folder(key: str, dataset: str, ending: str) -> None:
    assert FileName.of(key) == FileName(DATASETS[dataset], ending)


@pytest.mark.parametrize(
    "key",
    ["jobs", "jobs.pdf", "my_jobs.csv", "job_applications.csv", "Jobs/x.csv", "my_jobs/x.csv", "jobs.gz", ".csv", ""],
)
def test_other_names_are_not_loaded(key: str) -> None:
    assert FileName.of(key) is None


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


def test_the_longest_name_wins() -> None:
    assert dataset_of("hired_employees_jobs.csv") == DATASETS["hired_employees"]


def test_parents_are_declared_before_their_children() -> None:
    assert DATASETS["hired_employees"] in children(DATASETS["jobs"])
    names = list(DATASETS)
    for dataset in DATASETS.values():
        assert all(names.index(parent) < names.index(dataset.name) for _, parent in dataset.references)


def test_only_an_own_backup_may_exceed_the_compression_ratio() -> None:
    jobs, rows, file = DATASETS["jobs"], 1800, io.BytesIO()
    avro.write(jobs, [(list(range(1, rows + 1)), ["x" * 10_000] * rows)], file)
    own = FileReading.of_own_backup(jobs, Peekable(io.BytesIO(file.getvalue())))
    assert sum(token.lines for token in own.tokens(io.BytesIO(file.getvalue()))) == rows
    assert own.seeker(io.BytesIO(file.getvalue())).record(rows).fields == (b"1800", b"x" * 10_000)
    with pytest.raises(LoadError, match="may be an attack"):
        list(replace(own, is_own_backup=False).tokens(io.BytesIO(file.getvalue())))
