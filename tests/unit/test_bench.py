"""Tests the arithmetic of the benchmarks, and the contents of their synthetic data."""

import json
from pathlib import Path

import pytest

from bench.__main__ import ALL, is_wanted
from bench.data import Shape, employees, workbook
from bench.load import load
from bench.results import Result, line, write_json, write_svg
from chalicelib.formats.xlsx import Sheet


@pytest.mark.parametrize("style", ["plain", "quoted", "crlf", "offset"])
def test_a_file_has_the_stated_numbers_of_rows_rejects_and_repeated_ids(style: str) -> None:
    data = employees(4000, Shape(style=style), first_id=1)
    assert data.file.count(b"\n") == data.rows == 4000
    assert data.rejected == 40
    ids = [int(row.partition(b",")[0]) for row in data.valid.splitlines()]
    assert len(ids) == len(set(ids)) == max(ids)
    assert 4000 - data.rejected - len(ids) == 200  # 200 rows repeat an id


def test_a_workbook_has_the_rows_of_the_file() -> None:
    data = employees(300)
    rows = [texts for _, texts in Sheet.of(workbook(data))]
    assert [",".join(texts).replace("T", " ") for texts in rows] == [
        line.replace("T", " ").replace("Z", "") for line in data.file.decode().splitlines()
    ]


def test_long_measurements_need_full_or_their_name() -> None:
    for case in ALL:
        assert is_wanted(case, False, None)
        assert is_wanted(case, False, [case.__name__])
        assert not is_wanted(case, True, [load.__name__])
    assert is_wanted(load, True, None)
    assert is_wanted(load, False, [load.__name__])
    assert not is_wanted(load, False, None)


def test_the_ids_of_a_later_file_begin_at_first_id() -> None:
    ids = [int(row.partition(b",")[0]) for row in employees(100, first_id=5000).valid.splitlines()]
    assert min(ids) == 5000


def test_a_goal_is_a_bound_on_the_ratio_of_medians(tmp_path: Path) -> None:
    slow = Result("work", "limit", [3.0, 2.0, 10.0], [1.0, 1.0, 2.0], 2.9)
    assert (slow.ratio, slow.met, slow.spread) == (3.0, False, (2.0, 5.0))
    fast = Result("rate", "limit", [8.0], [10.0], 0.7, at_least=True, unit="/s")
    assert fast.met
    free = Result("a < b", "limit", [1.0], [1.0])
    assert free.met is None
    assert "MISSED" in line(slow)
    write_json(tmp_path / "r.json", {"cores": 2}, [slow, fast, free])
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["results"][0] == {
        "work": "work", "limit": "limit", "unit": "s", "seconds": 3.0, "limit_seconds": 1.0, "ratio": 3.0,
        "spread": [2.0, 5.0], "goal": "<= 2.9", "met": False,
    }  # fmt: skip
    write_svg(tmp_path / "r.svg", "All & more", [slow, fast, free])
    text = (tmp_path / "r.svg").read_text()
    assert "a &lt; b" in text
    assert text.count("<rect") == 3
