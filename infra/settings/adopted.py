"""The settings of a stage that an earlier release deployed, which kept none: what its functions were given."""

import json
from collections.abc import Mapping
from pathlib import Path

from chalicelib.core.settings import LOCAL
from infra.settings.declaration import passed


def adopted(stage: str, variables: Mapping[str, str]) -> dict[str, str]:
    """What differs from the defaults in the functions' environment. A value that is no longer allowed is left out."""
    found = {}
    for each in passed(stage):
        value = variables.get(each.name, "").strip()
        default = each.local if stage == LOCAL and each.local is not None else each.default
        try:
            differs = bool(value) and each.read(value) != each.read(default)
        except ValueError:
            continue
        if differs and each.kept:
            found[each.name] = value
    return found


def recorded(config: Path, stage: str) -> dict[str, str]:
    """The functions' environment by the configuration that was deployed; empty where there is none."""
    try:
        return dict(json.loads(config.read_text())["stages"][stage]["environment_variables"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
