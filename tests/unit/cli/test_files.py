"""Tests which files `upload` sends and in which order, and how it follows their loads."""

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cli.commands.stage
import cli.options
import cli.statuses
from chalicelib.api import load_routes
from chalicelib.api.http.requests import MAX_BODY
from chalicelib.auth.roles import Role
from chalicelib.core import datasets
from chalicelib.core import declarations as theirs
from chalicelib.ingest import file_names
from chalicelib.ingest.file_names import FileName
from chalicelib.loads import outcomes
from cli import declarations
from cli.api import Api
from cli.datasets import DATASETS, by_route
from cli.declared_options import OPTIONS
from cli.errors import CommandError, Misuse, Refused
from cli.files import BYTES, ENDINGS, GZIP, MAX_CHECKED, Sent, generation, opened, smaller, waves
from cli.follow import follow
from cli.output import Output
from cli.summary import counts, open_rejects
from tests.unit.cli.test_output import Terminal


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("jobs.csv", "jobs"),
        ("departments-2021.csv.gz", "departments"),
        ("hired_employees__1_.csv", "hired_employees"),
        ("Jobs 2021.XLSX", "jobs"),
        ("job-2021 (1).TSV.gz", "jobs"),
        ("departments/2021-07-27.txt", "departments"),
    ],
)
def test_the_file_name_determines_the_dataset(name: str, dataset: str) -> None:
    assert Sent.of(Path("far", name), None).dataset == dataset
    assert Sent.of(Path("far", name), "jobs").dataset == "jobs"


def ours(key: str) -> str | None:
    try:
        return Sent.of(Path(key), None).dataset
    except Misuse:
        return None


@pytest.mark.parametrize("folder", ["", "jobs/", "departments/jobs/", "Jobs/", "jobs/2021/"])
def test_a_name_tells_the_same_dataset_as_in_the_landing_bucket(folder: str) -> None:
    stems = ["jobs", "JOBS_1", "job", "job 2", "job_applications", "hired_employee", "department.jobs", "2021", "x"]
    for name in (f"{stem}{ending}" for stem in stems for ending in (*ENDINGS, ".CSV", ".Csv.GZ", ".pdf", ".gz", "")):
        named = FileName.of(folder + name)
        assert ours(folder + name) == (named and named.dataset.name), folder + name


def test_the_endings_and_declarations_equal_those_of_the_api() -> None:
    assert ENDINGS == file_names.ENDINGS
    assert declarations.ENCODINGS == theirs.ENCODINGS
    assert tuple(theirs.DELIMITERS) == declarations.DELIMITERS
    assert declarations.DATES == theirs.DATES
    assert tuple(OPTIONS) == theirs.NAMES


def read(name: str, value: str) -> bool:
    try:
        return bool(theirs.Declarations.of({name: value}))
    except theirs.UnknownValue:
        return False


@given(st.sampled_from(["", "cp1252", "LATIN-1", "u8", "rot13", "hex", "\0"]) | st.text(max_size=8))
def test_an_encoding_is_known_if_the_api_knows_it(value: str) -> None:
    assert bool(declarations.encoding(value)) == read("encoding", value)


@given(st.from_regex(r"\s?[0-9]{0,4}\.?[0-9]{0,2}\s?%?", fullmatch=True) | st.text("0159.% -", max_size=8))
def test_a_limit_of_rejects_is_valid_if_the_api_accepts_it(value: str) -> None:
    assert bool(declarations.max_rejected(value)) == read("max-rejected", value)


@pytest.mark.parametrize(
    ("name", "expected"), [("staff.csv", "staff.csv.*--dataset"), ("jobs.pdf", "only files that end in .csv, ")]
)
def test_a_file_name_without_a_dataset_or_a_known_suffix_is_refused(name: str, expected: str) -> None:
    with pytest.raises(Misuse, match=expected):
        Sent.of(Path(name), None)


def test_a_dataset_is_found_by_its_name_in_the_singular_and_the_plural() -> None:
    assert by_route("job") is by_route("jobs") is DATASETS["jobs"]
    assert by_route("people") is None


def test_the_datasets_equal_the_declared_ones() -> None:
    ours = [(found.name, found.route, found.parents) for found in DATASETS.values()]
    theirs = [
        (d.name, d.route, tuple(dict.fromkeys(name for _, name in d.references))) for d in datasets.DATASETS.values()
    ]
    assert ours == theirs


def test_the_roles_equal_those_of_the_api() -> None:
    assert tuple(role.value for role in Role) == cli.commands.stage.ROLES


def test_the_largest_page_equals_that_of_the_api() -> None:
    assert cli.options.MAX_PAGE == load_routes.MAX_PAGE


def test_the_final_statuses_equal_those_of_loads() -> None:
    assert cli.statuses.FINAL == outcomes.FINAL


def test_files_of_children_are_sent_after_files_of_parents() -> None:
    for dataset in DATASETS.values():
        for parent in dataset.parents:
            assert generation(parent) < generation(dataset.name)
    names = ["hired_employees", "jobs", "departments", "jobs"]
    found = waves([Sent(Path(str(number)), name) for number, name in enumerate(names)])
    assert [[file.dataset for file in wave] for wave in found] == [["jobs", "departments", "jobs"], ["hired_employees"]]


def test_a_pipe_is_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "jobs.csv")
    both = os.open(tmp_path / "jobs.csv", os.O_RDWR)  # if `opened` opened the pipe, the test would fail, not block
    with pytest.raises(CommandError, match="not a regular file"):
        opened(tmp_path / "jobs.csv")
    os.close(both)
    with pytest.raises(CommandError, match="No such file"):
        opened(tmp_path / "gone.csv")


@pytest.mark.parametrize("beginning", [b"\x1f\x8b", b"PK\x03\x04", b"Obj\x01"])
def test_a_file_that_is_packed_already_is_checked_as_it_is_whatever_its_name(tmp_path: Path, beginning: bytes) -> None:
    path = tmp_path / "jobs.csv"
    path.write_bytes(beginning + bytes(10_000))
    assert smaller(Sent.of(path, None)) == (path.read_bytes(), BYTES)
    path.write_bytes(b"1,Clerk\n" * 1000)
    body, kind = smaller(Sent.of(path, None))
    assert (gzip.decompress(body), kind) == (path.read_bytes(), GZIP)


def test_the_largest_checked_file_equals_the_largest_body_of_the_api() -> None:
    assert MAX_BODY == MAX_CHECKED


class Scripted(Api):
    """An API that returns the given responses, one for each request. If a response is an exception, the API raises
    it."""

    def __init__(self, *responses: Any) -> None:
        self.responses = list(responses)

    def get(self, path: str, **parameters: Any) -> Any:
        response = self.responses.pop(0)
        if isinstance(response, Exception):
            raise response
        return response


def load(status: str, received: int = 0) -> dict[str, Any]:
    return {"id": 7, "status": status, "received": received, "attempts": 2}


def test_a_load_is_polled_with_growing_pauses_until_it_ends() -> None:
    waits: list[float] = []
    api = Scripted(*[load("running", n * 1000) for n in range(20)], load("succeeded"))
    terminal = Terminal()
    found = follow(api, Output(terminal), {"jobs.csv": "/loads/7"}, waits.append)
    assert dict(found) == {"jobs.csv": load("succeeded")}
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.1, 2.0)


def test_following_survives_short_failures_of_the_network() -> None:
    away = CommandError("away")
    api = Scripted(*[away] * 9, load("running"), *[Refused(503, "away")] * 9, load("failed"))
    [(_, found)] = follow(api, Output(Terminal()), {"x": "/loads/7"}, lambda _: None)
    assert found["status"] == "failed"
    with pytest.raises(CommandError, match="away"):
        list(follow(Scripted(*[away] * 10), Output(Terminal()), {"x": "/loads/7"}, lambda _: None))
    with pytest.raises(Refused):
        list(follow(Scripted(Refused(404, "gone")), Output(Terminal()), {"x": "/loads/7"}, lambda _: None))


def test_counts_include_resolved_rejects() -> None:
    found = {"received": 1200, "inserted": 1000, "updated": 1, "unchanged": 2, "superseded": 3, "rejected": 194}
    line = "1,200 received: 1,000 inserted, 1 updated, 2 unchanged, 3 superseded, 194 rejected"
    assert counts({**found, "resolved": 0}) == line
    assert counts({**found, "resolved": 4}) == f"{line} (4 resolved)"
    assert counts({**found, "resolved": 4, "waiting": 3}) == f"{line} (3 waiting, 4 resolved)"
    assert (open_rejects(found), open_rejects({**found, "resolved": 4})) == (194, 190)
    assert open_rejects({**found, "resolved": 4, "waiting": 3}) == 187
