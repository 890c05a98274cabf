"""Reads the settings with which a stage's functions were deployed, perhaps by the previous release."""

import json
from collections.abc import Mapping
from pathlib import Path

from chalicelib.core.settings import Setting
from infra.settings.chosen import Chosen
from infra.settings.declaration import default, passed


def adopted(stage: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a stage whose settings were not kept, because the previous release deployed it.

    These are the functions' variables that differ from the defaults. Values that are no longer allowed are left out.
    """
    found = {}
    for each in passed(stage):
        value = variables.get(each.name, "").strip()
        try:
            differs = bool(value) and each.read(value) != each.read(default(each, stage))
        except ValueError:
            continue
        if differs and each.kept:
            found[each.name] = value
    return found


def outdated(chosen: Chosen, variables: Mapping[str, str]) -> list[str]:
    """Return the names of the settings whose value in the functions differs from the chosen value.

    For a setting that the deployed release did not know, the functions use the default.
    """
    return [
        each.name
        for each in passed(chosen.stage)
        if not _equal(each, variables.get(each.name) or default(each, chosen.stage), chosen.text(each.name))
    ]


def _equal(each: Setting, deployed: str, wanted: str) -> bool:
    try:
        return bool(each.read(deployed) == each.read(wanted))
    except ValueError:  # the previous release allowed this value
        return False


def recorded(config: Path, stage: str) -> dict[str, str]:
    """Return the functions' environment variables in the deployed configuration, or none if there is none."""
    try:
        return dict(json.loads(config.read_text())["stages"][stage]["environment_variables"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
