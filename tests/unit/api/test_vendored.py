"""Tests that files of third-party packages are found: in the package, or in the folder of a deployment."""

import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.api.http import vendored
from chalicelib.core.errors import ConfigurationError
from infra.venv import ROOT


def test_the_files_exist_with_their_licences() -> None:
    texts = {file: vendored.located(file).read_text(encoding="utf-8") for file in vendored.FILES}
    assert "Apache" in texts["flask_swagger_ui/dist/LICENSE"]
    assert "MIT" in texts["flask_swagger_ui/LICENSE"]


def test_the_search_for_files_does_not_import_their_package() -> None:
    code = (
        "import sys; from chalicelib.api.http import vendored; [vendored.located(file) for file in vendored.FILES];"
        " print([name for name in ('flask', 'flask_swagger_ui') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_files_are_found_in_a_folder_without_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Lambda has such a folder: it has the files of the package, but not the Python modules."""
    (tmp_path / "only_files" / "dist").mkdir(parents=True)
    (tmp_path / "only_files" / "dist" / "a.js").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert vendored.located("only_files/dist/a.js") == tmp_path / "only_files" / "dist" / "a.js"


@pytest.mark.parametrize("file", ["no_such_package/a.js", "flask_swagger_ui/dist/no_such_file.js"])
def test_the_error_names_a_missing_file(file: str) -> None:
    with pytest.raises(ConfigurationError, match=file):
        vendored.located(file)
