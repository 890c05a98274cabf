"""The settings that a stage's functions were given when they were deployed, perhaps by an earlier release."""

import json
from collections.abc import Mapping
from pathlib import Path

from chalicelib.core.settings import Setting
from infra.settings.chosen import Chosen
from infra.settings.declaration import default, passed


def adopted(stage: str, variables: Mapping[str, str]) -> dict[str, str]:
    """The settings of a stage of a release that kept none: what differs from the defaults in what its functions had.

    A value that is no longer allowed is left out.
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
    """The names of the settings of which the functions have another value than what is chosen.

    A setting that the functions were not given, as one that the deployed release did not know, has its default there.
    """
    return [
        each.name
        for each in passed(chosen.stage)
        if not _equal(each, variables.get(each.name) or default(each, chosen.stage), chosen.text(each.name))
    ]


def _equal(each: Setting, deployed: str, wanted: str) -> bool:
    try:
        return bool(each.read(deployed) == each.read(wanted))
    except ValueError:  # it was allowed once
        return False


def recorded(config: Path, stage: str) -> dict[str, str]:
    """The functions' environment by the configuration that was deployed; empty where there is none."""
    try:
        return dict(json.loads(config.read_text())["stages"][stage]["environment_variables"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
