"""Reads a template and applies its conditions, to find the resources of a stack without a request to AWS."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

Template = dict[str, Any]
_NOTHING = {"Ref": "AWS::NoValue"}
_SHORT = {"Ref": "Ref", "Condition": "Condition"}  # the functions whose long form has no prefix
_FOR_EACH = "Fn::ForEach::"


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Loads the short forms of CloudFormation's functions, such as `!Ref`, as their long forms."""


def _function(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.SequenceNode):
        value: Any = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        value = loader.construct_scalar(node)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {_SHORT.get(suffix, f"Fn::{suffix}"): value}


_Loader.add_multi_constructor("!", _function)


def loaded(text: str) -> Template:
    """Return a template with all functions in their long forms."""
    return dict(yaml.load(text, _Loader))  # noqa: S506 # nosec B506 - a SafeLoader


def values(template: Template, parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the value of every parameter of the template: the given value, or else the default."""
    return {
        name: parameters.get(name, str(declared.get("Default", "")))
        for name, declared in template["Parameters"].items()
    }


def applied(template: Template, parameters: Mapping[str, str]) -> Template:
    """Return the template without the resources and outputs whose condition is false, and without Fn::If."""
    known, conditions = values(template, parameters), template.get("Conditions", {})

    def true(test: Any) -> bool:
        (name, given), *_ = test.items()
        if name == "Condition":
            return true(conditions[given])
        if name == "Fn::Not":
            return not true(given[0])
        if name in ("Fn::And", "Fn::Or"):
            return (all if name == "Fn::And" else any)(map(true, given))
        left, right = (known[it["Ref"]] if isinstance(it, dict) else str(it) for it in given)
        return bool(left == right)

    def kept(tree: Any) -> Any:
        if isinstance(tree, list):
            return [it for it in map(kept, tree) if it != _NOTHING]
        if not isinstance(tree, dict):
            return tree
        if "Fn::If" in tree:
            name, yes, no = tree["Fn::If"]
            return kept(yes if true(conditions[name]) else no)
        found = {name: kept(value) for name, value in tree.items() if not is_off(value)}
        return {name: value for name, value in found.items() if value != _NOTHING}

    def is_off(value: Any) -> bool:
        named = isinstance(value, dict) and isinstance(value.get("Condition"), str)
        return named and not true(conditions[value["Condition"]])

    return {**template, **{name: kept(template[name]) for name in ("Resources", "Outputs") if name in template}}


def resources(tree: Mapping[str, Any], times: int = 1) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Yield the type and properties of each resource in `tree`, and how many times Fn::ForEach creates the resource."""
    for name, value in tree.items():
        if name.startswith(_FOR_EACH):
            _, items, inner = value
            yield from resources(inner, times * len(items))
        else:
            yield value["Type"], value.get("Properties", {}), times
