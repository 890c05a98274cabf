"""Tests that all code that parses or shows the names of restore points agrees with `restore_point_names`."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import restore_point_names, timestamps
from cli import moments

ROOT = Path(__file__).parents[3]
TIMES = st.datetimes(datetime(1000, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))


def test_the_example_is_a_name() -> None:
    at = restore_point_names.instant(restore_point_names.EXAMPLE)
    assert timestamps.name(at) == restore_point_names.EXAMPLE
    assert restore_point_names.EXAMPLE in restore_point_names.RULE


@given(TIMES)
def test_the_command_line_knows_the_next_name(at: datetime) -> None:
    name = timestamps.name(at)
    assert restore_point_names.is_name(name)
    assert moments.next_restore_point(name) == restore_point_names.name_after(name, at)


@pytest.mark.parametrize("folder", ["chalicelib", "cli"])
def test_the_code_shows_no_other_example(folder: str) -> None:
    texts = [path.read_text() for path in sorted((ROOT / folder).rglob("*.py"))]
    assert {name for text in texts for name in re.findall(r"\d+T\d+\.\d+Z", text)} == {restore_point_names.EXAMPLE}


def test_the_command_line_states_the_same_rule() -> None:
    assert restore_point_names.RULE in (ROOT / "cli" / "commands" / "backups.py").read_text()
