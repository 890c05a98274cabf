"""The version of the product. It is declared once, in pyproject.toml, which the functions' package contains."""

from functools import cache
from pathlib import Path


@cache
def product_version() -> str:
    """The declared version, such as `1.0.0`."""
    import tomllib

    declared = Path(__file__).parents[2] / "pyproject.toml"
    return str(tomllib.loads(declared.read_text("utf-8"))["project"]["version"])
