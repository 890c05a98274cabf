"""Tests that every line of the sample data has its expected result, and how the demo shows these results."""

import gzip
import io
from datetime import datetime
from pathlib import Path

import pytest

from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.kinds.table import Kind
from chalicelib.core.rules import check_fields
from chalicelib.formats.containers import HEAD
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.csv_seeker import Seeker
from chalicelib.formats.csv_tokens import Clean, Record
from chalicelib.formats.file_format import describe
from chalicelib.ingest.file_names import FileName
from infra.demo.show import Live, rejects_by_reason
from infra.demo.story import check
from infra.errors import CloudError
from infra.sample import DEPARTMENTS, EARLY, EMPLOYEES, JOBS, File, Stored, main, sample

FILES = sample().files


def read(file: File) -> tuple[dict[int, tuple[str, ...]], list[Stored]]:
    """Read a file with the CSV reader, and check its records. Return the reject reasons by line, and the valid rows in
    the order of the file."""
    dataset = DATASETS[file.dataset]
    rejects: dict[int, tuple[str, ...]] = {}
    rows = []
    layout = describe(dataset, file.text[: HEAD + 1], complete=len(file.text) <= HEAD).layout
    again = Seeker(dataset, io.BytesIO(file.text), layout)
    for token in Reader(dataset, io.BytesIO(file.text), layout):
        if not isinstance(token, Clean | Record):
            continue
        for line in range(token.line, token.line + (token.lines if isinstance(token, Clean) else 1)):
            record = token if isinstance(token, Record) else again.record(line)
            if record.fields is None:
                rejects[line] = (record.problem.text if record.problem else "",)
                continue
            checked = check_fields(dataset, record.fields)
            if checked.valid:
                rows.append(stored(dataset, checked.values))
            else:
                rejects[line] = tuple(problem.text for problem in checked.problems)
    return rejects, rows


def stored(dataset: Dataset, values: tuple[int | str | None, ...]) -> Stored:
    return tuple(
        datetime.fromisoformat(str(value)) if column.kind is Kind.INSTANT else value or ""
        for column, value in zip(dataset.columns, values, strict=True)
    )


def lacks_a_parent(reason: str) -> bool:
    return reason.endswith("does not exist")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.key)
def test_every_line_has_its_expected_result(file: File) -> None:
    rejects, rows = read(file)
    # `read` does not look into the tables, so here a row without a parent is valid.
    planted = {line: tuple(r for r in reasons if not lacks_a_parent(r)) for line, reasons in file.rejects.items()}
    assert rejects == {line: reasons for line, reasons in planted.items() if reasons}
    parentless = sum(not reasons for reasons in planted.values())
    assert len(rejects) + len(rows) == file.received
    assert len(rows) - parentless == len(file.rows) + file.superseded
    assert file.rows.items() <= {row[0]: row for row in rows}.items()


def test_the_sample_has_a_record_for_every_reason() -> None:
    reasons = {reason for file in FILES for found in file.rejects.values() for reason in found}
    for part in (
        "is missing",
        "is not a whole number",
        "is not a date-time",
        "outside the years",
        "department_id 2000000001 does not exist",
        "job_id 2000000001 does not exist",
        "found 4",
        "found 6",
        "a quote stands inside",
        "text follows a closing quote",
        "a quote is never closed",
        "is not valid UTF-8",
        "NUL",
        "longer than 10000",
    ):
        assert any(part in reason for reason in reasons), part
    assert max(len(found) for file in FILES for found in file.rejects.values()) == 5


def test_the_last_valid_row_of_a_repeated_id_is_expected() -> None:
    employees = sample().rows("hired_employees")
    assert [employees[number][1] for number in (7001, 7002, 7003)] == [
        "Third Version",
        "Second Version",
        "Second Version",
    ]
    assert sum(file.superseded for file in FILES) == 4


def test_parents_of_good_rows_exist() -> None:
    departments, jobs = sample().rows("departments"), sample().rows("jobs")
    assert (len(departments), len(jobs)) == (DEPARTMENTS, JOBS)
    for row in sample().rows("hired_employees").values():
        assert row[3] in departments
        assert row[4] in jobs


def test_all_rows_of_the_early_file_find_their_parents_later() -> None:
    early = sample().early
    assert (early.received, len(early.rows), early.rejects) == (EARLY, EARLY, {})


def test_the_sample_has_enough_employees_of_two_years() -> None:
    employees = sample().rows("hired_employees")
    assert len(employees) >= EMPLOYEES
    assert {row[2].year for row in employees.values() if isinstance(row[2], datetime)} == {2021, 2022}


def test_the_files_are_the_same_every_time_and_are_recognised() -> None:
    again = sample.__wrapped__()
    assert [file.body for file in again.files] == [file.body for file in FILES]
    for file in FILES:
        name = FileName.of(file.key)
        assert name is not None
        assert name.dataset.name == file.dataset


def test_one_file_has_a_byte_order_mark_a_header_and_crlf_and_one_is_compressed() -> None:
    departments, compressed = sample().parents[0], sample().late[1]
    assert departments.body.startswith(b"\xef\xbb\xbfID,Department\r\n1,")
    assert gzip.decompress(compressed.body) == compressed.text


def test_the_files_can_be_written_to_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tmp_path)])
    assert capsys.readouterr().out.split() == [str(tmp_path / file.key) for file in FILES]
    assert [(tmp_path / file.key).read_bytes() for file in FILES] == [file.body for file in FILES]


def test_rejects_are_grouped_without_the_ids_in_their_reasons() -> None:
    rejects = [
        {"line": line, "reasons": reasons}
        for line, reasons in enumerate(
            [
                ["job_id 8 does not exist"],
                ["id is missing", "job_id 9 does not exist"],
                ["job_id 9 does not exist"],
                ["id is not a whole number from 1 to 2147483647"],
            ]
        )
    ]
    groups = rejects_by_reason(rejects)
    assert [(count, reason) for count, reason, _ in groups] == [
        (3, "job_id N does not exist"),
        (1, "id is missing"),
        (1, "id is not a whole number from 1 to 2147483647"),
    ]
    assert [example["line"] for example in groups[0][2]] == [0, 1]


def test_progress_in_a_file_is_one_line_for_each_change() -> None:
    out = io.StringIO()
    progress = Live(out)
    for state, detail in (("running", "1 row "), ("running", "2 rows "), ("succeeded", "3 rows ")):
        progress.show(state, detail)
    progress.end()
    assert out.getvalue() == "  running\n  succeeded\n"


def test_progress_on_a_terminal_overwrites_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "30")
    out = Terminal()
    progress = Live(out)
    progress.show("running", "1 row ")
    progress.show("a state longer than the terminal is wide")
    progress.end()
    first, second = out.getvalue().split("\r\x1b[2K")[1:]
    assert "1 row" in first
    assert len(second.removesuffix("\n")) == 29
    assert out.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    "changed", [{"received": 119}, {"rejected": 5, "resolved": 4}, {"status": "failed", "error": "why"}]
)
def test_the_demo_fails_if_the_result_of_a_load_is_not_the_expected_one(changed: dict[str, object]) -> None:
    load = {"id": 1, "status": "succeeded", "received": EARLY, "rejected": EARLY, "resolved": EARLY, "error": None}
    check(sample().early, load)
    with pytest.raises(CloudError, match="load 1 of sample/early"):
        check(sample().early, load | changed)
