"""Tests how `make test` distributes the test files to its processes."""

from infra.venv import ROOT
from tests.workers import LAST, LONG, WITH_OWN_CLOUD, file_of, in_order, needs_stage, next_of

STAGE = ["tests/e2e/test_cli.py", "tests/e2e/test_rest.py", "tests/e2e/test_schedules.py"]
OTHERS = ["tests/e2e/test_upgrade.py", "tests/integration/infra/test_gate.py", "tests/unit/infra/test_alive.py"]


def drained(files: list[str], *, keeps_stage: bool) -> list[str]:
    """Return the files that a worker gets if there are no other workers, in the order in which it gets them."""
    remaining, assigned = list(files), list[str]()
    while (file := next_of(remaining, keeps_stage=keeps_stage)) is not None:
        remaining.remove(file)
        assigned.append(file)
    return assigned


def test_all_listed_files_exist() -> None:
    for file in (*LONG, *LAST, *WITH_OWN_CLOUD):
        assert (ROOT / file).is_file(), file


def test_a_test_belongs_to_its_file() -> None:
    assert file_of("tests/unit/test_a.py::test_b[c::d]") == "tests/unit/test_a.py"


def test_one_worker_gets_the_stage_and_runs_its_files_first() -> None:
    assert drained([*OTHERS, *STAGE], keeps_stage=True) == [*STAGE, *OTHERS]
    assert drained([*OTHERS, *STAGE], keeps_stage=False) == OTHERS
    assert not any(map(needs_stage, OTHERS))


def test_long_files_come_first_and_files_that_wait_for_a_schedule_come_last() -> None:
    files = in_order([*LAST, *reversed(LONG), "tests/unit/infra/test_alive.py"])
    assert [LONG[file] for file in files[: len(LONG)]] == sorted(LONG.values(), reverse=True)
    assert files[-1] in LAST
