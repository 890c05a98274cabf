"""Tests that all programs recognize a full disk in the same way, and print once what to do about it."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from cli.disk import REMEDY, is_full
from cli.errors import CommandError
from cli.functions import FunctionFailed
from infra import disk
from infra.commandline import exit_status
from infra.errors import CloudError
from infra.install import failures

NUMBERS = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG]
WORDS = [
    "initdb: could not write: No space left on device",
    "disk quota exceeded",
    "file too large",
    "failed to write to file `/c/iot.py` (os error 28)",
    "DiskFull: disk full",
]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_system_call_that_fails_on_a_full_disk_is_recognized(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        raise OSError(number, os.strerror(number), "/x")

    assert exit_status(run) == 1
    assert capsys.readouterr().err == f"error: /x: {os.strerror(number)}: {REMEDY}\n"
    assert failures.of_system(OSError(number, os.strerror(number)), Path("/home")) == failures.full(Path("/home"))


@pytest.mark.parametrize("said", WORDS)
def test_a_program_that_fails_on_a_full_disk_is_recognized(
    said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        raise CommandError(said)

    def run_there() -> None:
        # 500 MB are free: a quota may be used up although the disk has space.
        with disk.explained(tmp_path, lambda _: 500):
            raise FunctionFailed("migrate", "", said)

    assert failures.explain(said, tmp_path) == failures.full(tmp_path)
    assert exit_status(run) == 1
    assert capsys.readouterr().err == f"error: {said}: {REMEDY}\n"
    assert exit_status(run_there) == 1
    told = capsys.readouterr().err
    assert told.startswith(
        f"error: function migrate failed: {said}; the disk is full at {tmp_path}: free some space, or "
    )
    assert told.count("free some space") == 1


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES])
def test_other_failures_are_not_taken_for_a_full_disk(number: int, tmp_path: Path) -> None:
    assert not is_full(OSError(number, os.strerror(number)))
    assert not is_full("the packages cannot be installed (os error 2)")
    with pytest.raises(CloudError, match=r"^failed$"), disk.explained(tmp_path, lambda _: 500):
        raise CloudError("failed")


def test_the_remedy_for_a_full_disk_is_printed_once(tmp_path: Path) -> None:
    with pytest.raises(CloudError) as raised, disk.explained(tmp_path, lambda _: 1):
        disk.check(tmp_path, disk.TO_START, lambda _: 1)
    assert str(raised.value).count("free some space") == 1


def test_free_space_is_measured_in_megabytes(tmp_path: Path) -> None:
    assert disk.free(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free / 2**20, abs=200)
