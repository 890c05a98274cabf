"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of this checkout."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.venv import ROOT
from tests.recipes import follow, recipes

RECIPES = recipes((ROOT / "CONTRIBUTING.md").read_text())
PROBES = {
    "Add a dataset": "dataset.py",
    "Add a report": "report.py",
    "Add a role": "role.py",
    "Add a route": "route.py",
    "Add a setting": "setting.py",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that git knows, with the Python environment of this checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    return tmp_path


def passes(checkout: Path, *command: str) -> None:
    done = subprocess.run(
        [".venv/bin/python", "-m", *command], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_every_recipe_is_tried() -> None:
    assert RECIPES.keys() == PROBES.keys()
    assert all(RECIPES.values())


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_leads_to_what_it_promises(checkout: Path, title: str) -> None:
    follow(RECIPES[title], checkout)
    passes(checkout, "ruff", "check", "--quiet")
    passes(checkout, "ruff", "format", "--check", "--quiet")
    passes(checkout, "pytest", "-q", "-p", "no:cacheprovider", f"tests/integration/recipes/{PROBES[title]}")
