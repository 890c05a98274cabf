"""Tests the rotation of logs. Processes that have a log open can go on writing to it."""

from pathlib import Path

from infra.local.rotation import rotate


def test_a_log_that_is_too_long_moves_to_its_second_file(tmp_path: Path) -> None:
    log = tmp_path / "aws.log"
    with log.open("a") as writer:  # opened to append, as daemons open their logs
        writer.write("old\n" * 100)
        writer.flush()
        assert rotate(log, most=100)
        writer.write("new\n")
    assert log.read_text() == "new\n"
    assert (tmp_path / "aws.log.1").read_text() == "old\n" * 100
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["aws.log", "aws.log.1"]


def test_two_files_are_kept_at_most(tmp_path: Path) -> None:
    log = tmp_path / "aws.log"
    for turn in range(5):
        log.write_text(f"{turn}" * 200)
        assert rotate(log, most=100)
    assert (tmp_path / "aws.log.1").read_text() == "4" * 200
    assert len(list(tmp_path.iterdir())) == 2


def test_a_short_or_missing_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "aws.log"
    assert not rotate(log)
    log.write_text("x")
    assert not rotate(log, most=1)
    assert log.read_text() == "x"
