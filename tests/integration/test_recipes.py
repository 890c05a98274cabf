"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of this checkout."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.venv import ROOT
from tests.recipes import follow, recipes

RECIPES = recipes((ROOT / "CONTRIBUTING.md").read_text())
PROBES = sorted(path.name for path in (ROOT / "tests/integration/recipes").glob("*.py") if path.stem != "__init__")


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


@pytest.mark.parametrize("probe", PROBES)
def test_there_is_a_recipe_that_ends_with_the_tests_of_what_it_promises(probe: str) -> None:
    """They are in tests/integration/recipes, and no other run finds them there."""
    ends = [steps[-1].text.split() for steps in RECIPES.values()]
    assert [f"tests/integration/recipes/{probe}" in words for words in ends].count(True) == 1


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_leads_to_what_it_promises(checkout: Path, title: str) -> None:
    follow(RECIPES[title], checkout)
    written = sorted({step.file for step in RECIPES[title] if step.file.endswith(".py")})
    passes(checkout, "ruff", "check", "--quiet", *written)
    passes(checkout, "ruff", "format", "--check", "--quiet", *written)
