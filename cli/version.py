"""The version of this command line. It is declared once, in pyproject.toml."""

from pathlib import Path

NAME = "hireflow"


def version() -> str:
    """What pyproject.toml says if this runs in a checkout, else what was installed."""
    declared = Path(__file__).parents[1] / "pyproject.toml"
    if declared.exists():
        import tomllib

        project = tomllib.loads(declared.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == NAME:
            return str(project["version"])
    from importlib import metadata

    return metadata.version(NAME)
