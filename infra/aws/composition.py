"""Composes the template of a part from its own file and from fragments, which several parts or profiles share.

A fragment has sections of a template, such as `Resources:`. Each section of a fragment is added at the end of the same
section of the template. The names of resources stay the same, so CloudFormation does not replace a resource that moves
into a fragment. The password rotation needs a fragment instead of a condition. A macro of AWS creates the function of
the rotation, and AWS documents no conditions for this macro.
"""

import re
from collections.abc import Mapping
from pathlib import Path

_FRAGMENTS = "fragments"
_SECTION = re.compile(r"^(\w+):(.*)$")
PROXY = "ThroughProxy"  # the parameter of the part `database` that chooses between the proxy and direct connections


def fragments(part: str, parameters: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the fragments that complete the template of a part."""
    if part == "database":
        return "postgres", "proxy" if parameters.get(PROXY, "true") == "true" else "direct"
    return ("postgres", "direct") if part == "instance" else ()


def composed(templates: Path, part: str, parameters: Mapping[str, str]) -> str:
    """Return the composed template of a part. A folder without fragments holds templates that are already complete."""
    text = (templates / f"{part}.yaml").read_text()
    if not (templates / _FRAGMENTS).is_dir():
        return text
    files = (templates / _FRAGMENTS / f"{name}.yaml" for name in fragments(part, parameters))
    return merged(text, *(file.read_text() for file in files))


def merged(template: str, *added: str) -> str:
    """Return the template with the sections of the fragments `added`."""
    sections = _sections(template)
    for text in added:
        for name, lines in _sections(text).items():
            if name:  # the lines before the first section are a comment about the fragment, which the result leaves out
                sections[name] = [*sections.get(name, ()), *(lines if name not in sections else lines[1:])]
    return "".join(f"{line}\n" for lines in sections.values() for line in lines)


def _sections(text: str) -> dict[str, list[str]]:
    """Split a template into its sections, by name. The lines before the first section have an empty name."""
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in text.splitlines():
        if match := _SECTION.match(line):
            name = match[1]
            found[name] = []
        found[name].append(line)
    return found
