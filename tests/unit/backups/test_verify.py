"""Tests the output and exit status of `make verify-backups`, and the set of ids that a verification uses."""

import tracemalloc
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.backups.integrity import Ids
from infra.local.verify import verify_backups

NEWER, OLDER = "20210727T160208.123456Z", "20210727T155908.123456Z"


def table(*faults: str) -> dict[str, Any]:
    return {"rows": 3, "bytes": 42, "faults": list(faults)}


def report(
    point: str, older: str | None = None, faults: tuple[str, ...] = (), notes: tuple[str, ...] = (), **tables: Any
) -> dict[str, Any]:
    return {"restore_point": point, "tables": tables, "faults": list(faults), "notes": list(notes), "older": older}


class Function:
    """Replaces the deployed `verify` function. If the caller names a restore point, the function returns the report
    of this restore point. Otherwise it returns the first report, which is the report of the newest restore point."""

    def __init__(self, *reports: dict[str, Any]) -> None:
        self._reports = {r["restore_point"]: r for r in reports} | {None: reports[0]}
        self.asked: list[Any] = []

    def __call__(self, name: str, event: Mapping[str, Any]) -> Any:
        assert name == "verify"
        self.asked.append(event["restore_point"])
        return self._reports[event["restore_point"]]


def test_the_newest_restore_point_is_verified(capsys: pytest.CaptureFixture[str]) -> None:
    function = Function(report(NEWER, OLDER, jobs=table()))
    assert verify_backups(function, None, every=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        [NEWER, "ok"],
        [NEWER, "jobs", "3", "rows", "42", "bytes", "ok"],
        ["1", "restore", "point", "verified,", "0", "faults"],
    ]


def test_all_restore_points_are_verified_and_every_fault_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    function = Function(
        report(NEWER, OLDER, jobs=table()), report(OLDER, None, ("no jobs",), departments=table("gone"))
    )
    assert verify_backups(function, None, every=True) == 1
    assert function.asked == [None, OLDER]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{NEWER}  ok"
    assert lines[2] == f"{OLDER}  faulty"
    assert lines[4:] == [
        f"{OLDER}  manifest: no jobs",
        f"{OLDER}  departments: gone",
        "2 restore points verified, 2 faults",
    ]


def test_a_note_is_printed_and_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    function = Function(report(NEWER, notes=("made before locations existed",), jobs=table()))
    assert verify_backups(function, None, every=True) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{NEWER}  ok"
    assert lines[2:] == [f"{NEWER}  note: made before locations existed", "1 restore point verified, 0 faults"]


def test_a_named_restore_point_is_verified() -> None:
    function = Function(report(NEWER, OLDER), report(OLDER))
    assert verify_backups(function, OLDER, every=False) == 0
    assert function.asked == [OLDER]


ids = st.integers(-(2**31), 2**31 - 1) | st.integers(1, 300) | st.integers(65_500, 65_600)


@given(st.lists(ids), st.lists(ids))
def test_ids_behave_like_a_set(put: list[int], asked: list[int]) -> None:
    held, expected = Ids(), set[int]()
    for value in put:
        assert held.add(value) == (value in expected)
        expected.add(value)
    assert all((value in held) == (value in expected) for value in put + asked)


def test_a_million_ids_need_little_memory() -> None:
    held = Ids()
    tracemalloc.start()
    for value in range(1, 1_000_001):
        held.add(value)
    assert tracemalloc.get_traced_memory()[1] < 200_000
    tracemalloc.stop()
