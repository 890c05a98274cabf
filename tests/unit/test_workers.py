"""Who of the processes of `make test` runs what."""

from infra.venv import ROOT
from tests.workers import LAST, LONG, OF_THEIR_OWN, file_of, in_order, needs_stage, next_of

STAGE = ["tests/e2e/test_cli.py", "tests/e2e/test_rest.py", "tests/e2e/test_schedules.py"]
OTHERS = ["tests/e2e/test_upgrade.py", "tests/integration/infra/test_gate.py", "tests/unit/infra/test_alive.py"]


def drained(files: list[str], *, keeps_stage: bool) -> list[str]:
    left, given = list(files), list[str]()
    while (file := next_of(left, keeps_stage=keeps_stage)) is not None:
        left.remove(file)
        given.append(file)
    return given


def test_all_files_that_are_named_are_there() -> None:
    for file in (*LONG, *LAST, *OF_THEIR_OWN):
        assert (ROOT / file).is_file(), file


def test_a_test_belongs_to_its_file() -> None:
    assert file_of("tests/unit/test_a.py::test_b[c::d]") == "tests/unit/test_a.py"


def test_the_stage_is_for_one_worker_and_that_one_begins_with_it() -> None:
    assert drained([*OTHERS, *STAGE], keeps_stage=True) == [*STAGE, *OTHERS]
    assert drained([*OTHERS, *STAGE], keeps_stage=False) == OTHERS
    assert not any(map(needs_stage, OTHERS))


def test_the_long_files_come_first_and_what_waits_for_a_schedule_last() -> None:
    files = in_order([*LAST, *reversed(LONG), "tests/unit/infra/test_alive.py"])
    assert [LONG[file] for file in files[: len(LONG)]] == sorted(LONG.values(), reverse=True)
    assert files[-1] in LAST
