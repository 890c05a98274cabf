"""The version of this command line. Only pyproject.toml declares it."""

from pathlib import Path

NAME = "hireflow"


def version() -> str:
    """Return the version in the checkout's pyproject.toml. Outside a checkout, return the installed version."""
    declared = Path(__file__).parents[1] / "pyproject.toml"
    if declared.exists():
        import tomllib

        project = tomllib.loads(declared.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == NAME:
            return str(project["version"])
    from importlib import metadata

    return metadata.version(NAME)
