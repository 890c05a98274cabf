"""Tests that processes with the same code share one folder with the unpacked code."""

import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest

from infra.local.unpacked import KEPT, folder_of

Unpack = Callable[[str], Path]


@pytest.fixture
def unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unpack:
    """Return a function that unpacks an archive with this code."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def unpacked(code: str) -> Path:
        content = BytesIO()
        with ZipFile(content, "w") as archive:
            # ZipInfo has a fixed time, so that equal code gives equal archives.
            archive.writestr(ZipInfo("package/app.py"), code)
        return folder_of(content.getvalue())

    return unpacked


def test_the_same_code_is_unpacked_once(unpack: Unpack) -> None:
    first = unpack("same")
    (first / "package" / "bytecode").write_text("compiled")
    assert unpack("same") == first
    assert (first / "package" / "app.py").read_text() == "same"
    assert (first / "package" / "bytecode").read_text() == "compiled"


def test_different_code_is_unpacked_separately(unpack: Unpack) -> None:
    assert [(unpack(code) / "package" / "app.py").read_text() for code in ("old", "new")] == ["old", "new"]


def test_the_code_of_old_releases_is_deleted(unpack: Unpack, tmp_path: Path) -> None:
    made = [unpack(str(number)) for number in range(KEPT + 2)]
    assert len(list(tmp_path.glob("code-*"))) == KEPT
    assert (made[-1] / "package" / "app.py").exists()
