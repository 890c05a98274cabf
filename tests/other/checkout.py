"""Makes a copy of this checkout that also declares the datasets of tests/other/declaration.py, with the migration that
`make migration` writes for them."""

from pathlib import Path

from infra.venv import ROOT
from tests.checkouts import copied, passes

DATASETS = "chalicelib/core/datasets.py"
OTHERS = "chalicelib/core/other_datasets.py"
_LAST = "DATASETS: dict[str, Dataset] = checked(_DECLARED)"
_MORE = """from chalicelib.core.other_datasets import DECLARED as _OTHERS  # noqa: E402

DATASETS: dict[str, Dataset] = checked((*_DECLARED, *_OTHERS))"""


def other_checkout(folder: Path) -> Path:
    """Return a copy with the other datasets besides Hireflow's own. Everything that is generated from declarations is
    up to date there."""
    checkout = copied(folder)
    declare(checkout)
    passes(checkout, "tests.other.migration")
    return checkout


def declare(checkout: Path) -> None:
    """Declare the other datasets in a checkout. Its declarations are in one module, but the other ones come from a
    module of their own, so that the deployed functions do not need the tests."""
    text = (checkout / DATASETS).read_text()
    assert text.count(_LAST) == 1, f"{DATASETS} has changed: mend tests/other/checkout.py"
    (checkout / DATASETS).write_text(text.replace(_LAST, _MORE))
    (checkout / OTHERS).write_text((ROOT / "tests/other/declaration.py").read_text())
