"""Makes a copy of this checkout that also declares the datasets of tests/other/declaration.py, with the migration that
`make migration` writes for them."""

from pathlib import Path

from infra.venv import ROOT
from tests.checkouts import copied, passes

_DATASETS, _OTHERS = "chalicelib/core/datasets.py", "chalicelib/core/other_datasets.py"
_IMPORT = "from chalicelib.core.kinds.table import Kind\n"
_CHECKED = "DATASETS: dict[str, Dataset] = checked(_DECLARED)"


def other_checkout(folder: Path) -> Path:
    """Return a copy with the other datasets besides Hireflow's own. Everything that is generated from declarations is
    up to date there."""
    checkout = copied(folder)
    declare(checkout)
    passes(checkout, "infra.migration", "other_datasets")
    return checkout


def declare(checkout: Path) -> None:
    """Declare the other datasets in a checkout. They come from a module of their own, because the deployed functions
    do not have the tests."""
    text = (checkout / _DATASETS).read_text()
    for old, new in (
        (_IMPORT, f"{_IMPORT}from chalicelib.core.other_datasets import OTHERS\n"),
        (_CHECKED, _CHECKED.replace("_DECLARED", "(*_DECLARED, *OTHERS)")),
    ):
        assert text.count(old) == 1, f"{_DATASETS} has changed: mend tests/other/checkout.py"
        text = text.replace(old, new)
    (checkout / _DATASETS).write_text(text)
    (checkout / _OTHERS).write_text((ROOT / "tests/other/declaration.py").read_text())
