"""Tests the recipes of CONTRIBUTING.md. A test follows the steps of a recipe in a copy of this checkout."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.auth.roles import ROLES
from infra.venv import ROOT
from tests.checkouts import copied, passes
from tests.recipes import BrokenRecipe, Step, existing_result, follow, next_revision, recipes

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = recipes(CONTRIBUTING)
PROBES = sorted(path.name for path in (ROOT / "tests/integration/recipes").glob("*.py") if path.stem != "__init__")
RESTORES = (
    "explains_itself_and_restores_parents_first",
    "all_restores_what_the_restore_point_contains",
    "of_a_dataset_that_the_restore_point_lacks_names_what_it_contains",
)
# These tests depend on the list of datasets. They run in a checkout with a further dataset.
OF_DATASETS = (
    "tests/unit/api/test_openapi.py",
    "tests/unit/infra/test_tables.py",
    "tests/unit/ingest/test_file_names.py",
    "tests/integration/api/test_api_rest.py",
    "tests/integration/backups/test_restore_load.py",
    "tests/integration/infra/test_lake.py::test_the_links_are_written_before_the_manifest",
    *(f"tests/integration/cli/test_cli.py::test_restore_{name}" for name in RESTORES),
)
# A recipe that goes on with the result of another one
CONTINUES = {"Make an optional column mandatory": "Add an optional column"}
OF_RECIPES = tuple(f"tests/integration/recipes/{name}" for name in PROBES if name != "mandatory_column.py")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return copied(tmp_path)


@pytest.mark.parametrize("probe", PROBES)
def test_there_is_a_recipe_that_ends_with_the_tests_of_what_it_promises(probe: str) -> None:
    """The tests of what a recipe promises are in tests/integration/recipes. pytest does not find them there by itself,
    so the last step of a recipe has to run them."""
    ends = [steps[-1].text.split() for steps in RECIPES.values()]
    assert [f"tests/integration/recipes/{probe}" in words for words in ends].count(True) == 1


@pytest.mark.parametrize("title", RECIPES)
def test_the_text_of_a_recipe_names_every_file_that_it_changes(title: str) -> None:
    """A rendered page does not show into which file a block goes, so the text has to name the file."""
    section = CONTRIBUTING.partition(f"### {title}\n")[2].partition("\n###")[0]
    text = re.sub(r"```.*?```", "", section, flags=re.DOTALL)
    assert [step.file for step in RECIPES[title] if step.file and f"`{step.file}`" not in text] == []


@pytest.mark.parametrize("words", ["", "file=a.py", "after='x'", "file=a.py new run", "file=a.py after='x' before='x'"])
def test_a_block_that_does_not_say_where_it_goes_is_refused(words: str) -> None:
    with pytest.raises(BrokenRecipe, match="line 5: the block does not say where it goes"):
        recipes(f"# A\n\n## Recipes\n### Add\n```python {words}\nx\n```\n")


@pytest.mark.parametrize(
    ("place", "text"), [("after='b'", "a\nb\nx\n"), ("before='b'", "a\nx\nb\n"), ("replace='b'", "a\nx\n")]
)
def test_a_block_goes_where_it_says(tmp_path: Path, place: str, text: str) -> None:
    (tmp_path / "a.py").write_text("a\nb\n")
    follow(recipes(f"\n## Recipes\n### Add\n1. So:\n\n   ```python file=a.py {place}\n   x\n   ```\n")["Add"], tmp_path)
    assert (tmp_path / "a.py").read_text() == text


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("python file=a.py after='c'\nx", "a.py has 0 lines with 'c', not 1"),
        ("python file=a.py after='a'\nx", "a.py has 2 lines with 'a', not 1"),
        ("python file=a.py new\nx", "a.py exists already"),
        ("sh run\nfalse\ntrue", "exit status 1"),
    ],
)
def test_a_step_that_cannot_be_followed_is_named(tmp_path: Path, block: str, problem: str) -> None:
    (tmp_path / "a.py").write_text("a\nba\n")
    with pytest.raises(BrokenRecipe, match=f"line 4: {problem}"):
        follow(recipes(f"\n## Recipes\n### Add\n```{block}\n```\n")["Add"], tmp_path)


def followed(steps: list[Step], checkout: Path) -> None:
    """Follow a recipe in a checkout that may have further migrations. Skip the test if somebody has followed the recipe
    there."""
    if file := existing_result(steps, checkout):
        pytest.skip(f"the result of this recipe exists in this checkout: see {file}")
    steps = next_revision(steps, checkout)
    follow(steps, checkout)
    written = sorted({step.file for step in steps if step.file.endswith(".py")})
    passes(checkout, "ruff", "check", "--quiet", *written)
    passes(checkout, "ruff", "format", "--check", "--quiet", *written)


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_leads_to_what_it_promises(checkout: Path, title: str) -> None:
    if title == "Add a role" and ROLES != ("reader", "writer", "operator"):
        pytest.skip(f"the migration of this recipe lists all roles, and this checkout has others: {', '.join(ROLES)}")
    if title in CONTINUES:
        followed(RECIPES[CONTINUES[title]][:-1], checkout)
    followed(RECIPES[title], checkout)


def test_a_checkout_with_a_further_dataset_passes_the_tests_and_all_recipes_work_there(checkout: Path) -> None:
    """Somebody adds the dataset `harbours`, which has other columns than the example, and then runs the tests."""
    followed([harbours(step) for step in RECIPES["Add a dataset"]], checkout)
    passes(checkout, "pytest", "-q", "-p", "no:cacheprovider", *OF_DATASETS)
    for title, steps in RECIPES.items():
        if title not in CONTINUES and existing_result(steps, checkout) is None:
            follow([step for step in next_revision(steps, checkout) if not step.is_script], checkout)
    passes(checkout, "infra.migration", "all_other_recipes")
    passes(checkout, "infra.reports")
    passes(checkout, "infra.settings")
    passes(checkout, "pytest", "-q", "-p", "no:cacheprovider", *OF_RECIPES)


def harbours(step: Step) -> Step:
    """Return a step of "Add a dataset" for the dataset `harbours` with the columns `id` and `city`."""

    def renamed(text: str) -> str:
        text = re.sub(r".*(Column\(\"(opened|department_id)|^ +(opened|department_id) .*).*\n", "", text, flags=re.M)
        text = text.replace('Column("vacancy"', 'Column("city"')
        for old, new in (("vacancies", "harbours"), ("vacancy", "harbour")):
            text = text.replace(old, new)
        return text

    return replace(step, text=renamed(step.text), file=renamed(step.file))
