"""Tests that workers with the same code share one folder with the unpacked code."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipInfo

import pytest

from infra.local.unpacked import KEPT, SharedZipFile

Worker = Callable[[str, str], Path]


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Return a function that makes the folder of a worker, as ministack does."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def make(name: str, code: str) -> Path:
        folder = tmp_path / name
        (folder / "code").mkdir(parents=True)
        with SharedZipFile(folder / "code.zip", "w") as archive:
            # ZipInfo has a fixed time, so that equal code gives equal archives.
            archive.writestr(ZipInfo("package/app.py"), code)
        with SharedZipFile(folder / "code.zip") as archive:
            archive.extractall(folder / "code")
        return folder

    return make


def test_the_same_code_is_unpacked_once(worker: Worker) -> None:
    first, second = worker("first", "same"), worker("second", "same")
    (first / "code" / "package" / "bytecode").write_text("compiled")
    assert (second / "code" / "package" / "app.py").read_text() == "same"
    assert (second / "code" / "package" / "bytecode").read_text() == "compiled"


def test_different_code_is_unpacked_separately(worker: Worker) -> None:
    first, second = worker("first", "old"), worker("second", "new")
    assert [(one / "code" / "package" / "app.py").read_text() for one in (first, second)] == ["old", "new"]


def test_the_code_of_old_releases_is_deleted(worker: Worker, tmp_path: Path) -> None:
    made = [worker(f"worker-{number}", str(number)) for number in range(KEPT + 2)]
    assert len(list(tmp_path.glob("code-*"))) == KEPT
    assert (made[-1] / "code" / "package" / "app.py").exists()


def test_single_members_and_new_folders_are_unpacked_as_usual(worker: Worker, tmp_path: Path) -> None:
    with SharedZipFile(worker("worker", "some") / "code.zip") as archive:
        archive.extractall(tmp_path / "new", ["package/app.py"])
    assert not (tmp_path / "new").is_symlink()
    assert (tmp_path / "new" / "package" / "app.py").read_text() == "some"
