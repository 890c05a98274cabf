"""Reads the version of the product. Only pyproject.toml declares the version. The deployment package contains this
file."""

from functools import cache
from pathlib import Path


@cache
def product_version() -> str:
    """Return the declared version, such as `1.0.0`."""
    import tomllib

    declared = Path(__file__).parents[2] / "pyproject.toml"
    return str(tomllib.loads(declared.read_text("utf-8"))["project"]["version"])
