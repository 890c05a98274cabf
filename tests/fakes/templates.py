"""Reads CloudFormation templates as CloudFormation does: parameters, conditions, functions, macros, and the order in
which resources are made."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cfnlint.decode import decode_str
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from cfnlint.template import Template as LintedTemplate
from cfnlint.template.transforms._language_extensions import language_extension

from tests.fakes.wire import REGION, Refused

ACCOUNT = "123456789012"
_PSEUDO = {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com"}
_NAME = re.compile(r"\$\{([\w:.]+)\}")


@dataclass(frozen=True)
class Declared:
    """A resource as a template declares it. `needs` are the resources that CloudFormation makes before it."""

    name: str
    kind: str
    properties: Any
    needs: frozenset[str]
    deletion_policy: str


@dataclass(frozen=True)
class Template:
    """A template with values for its parameters. `resources` come in the order in which they are made."""

    resources: Mapping[str, Declared]
    outputs: Mapping[str, Any]
    conditions: Mapping[str, bool] = field(repr=False)
    parameters: Mapping[str, str]
    mappings: Mapping[str, Any] = field(repr=False)

    def value(self, tree: Any, physical: Mapping[str, str]) -> Any:
        """Evaluate the functions in a part of the template. `physical` maps the names of resources to their ids in the
        account, as far as they exist."""
        if isinstance(tree, list):
            return [value for it in tree if (value := self.value(it, physical)) is not None]
        if not isinstance(tree, dict):
            return tree
        if len(tree) == 1:
            (name, inner) = next(iter(tree.items()))
            if name == "Ref" or name.startswith("Fn::"):
                return self._function(name, inner, physical)
        found = {name: self.value(it, physical) for name, it in tree.items()}
        return {name: it for name, it in found.items() if it is not None}

    def _function(self, name: str, inner: Any, physical: Mapping[str, str]) -> Any:
        def of(tree: Any) -> Any:
            return self.value(tree, physical)

        match name:
            case "Ref":
                return None if inner == "AWS::NoValue" else self._reference(inner, physical)
            case "Fn::GetAtt":
                return self._attribute(inner if isinstance(inner, list) else inner.split(".", 1), physical)
            case "Fn::Sub":
                text, own = inner if isinstance(inner, list) else (inner, {})
                known = {key: of(value) for key, value in own.items()}
                return _NAME.sub(lambda found: str(self._substituted(found[1], known, physical)), text)
            case "Fn::If":
                return of(inner[1] if self.conditions[inner[0]] else inner[2])
            case "Fn::GetAZs":
                return [f"{REGION}a", f"{REGION}b"]
            case _:
                return self._text_function(name, inner, of)

    def _text_function(self, name: str, inner: Any, of: Callable[[Any], Any]) -> Any:
        match name:
            case "Fn::Join":
                return inner[0].join(map(str, of(inner[1])))
            case "Fn::Split":
                return of(inner[1]).split(inner[0])
            case "Fn::Select":
                return of(inner[1])[int(of(inner[0]))]
            case "Fn::Cidr":
                return [f"{of(inner[0])}#{index}" for index in range(int(of(inner[1])))]
            case "Fn::FindInMap":
                return self.mappings[of(inner[0])][of(inner[1])][of(inner[2])]
            case "Fn::ToJsonString":
                return json.dumps(of(inner))
        raise NotImplementedError(name)

    def _reference(self, name: str, physical: Mapping[str, str]) -> Any:
        if name in self.parameters:
            return self.parameters[name]
        return _PSEUDO[name] if name in _PSEUDO else physical.get(name, f"<{name}>")

    def _attribute(self, path: list[str], physical: Mapping[str, str]) -> str:
        name, attribute = path
        about = physical.get(name, f"<{name}>")
        if attribute.endswith("Arn"):
            return f"arn:aws:fake:{REGION}:{ACCOUNT}:{self.resources[name].kind.split('::')[-1].lower()}:{about}"
        return about if attribute.endswith("Name") else f"{about}.{attribute}"

    def _substituted(self, name: str, known: Mapping[str, Any], physical: Mapping[str, str]) -> Any:
        if name in known:
            return known[name]
        return self._attribute(name.split(".", 1), physical) if "." in name else self._reference(name, physical)


def read(text: str, given: Mapping[str, str]) -> Template:
    """Read a template. Raises Refused if the parameters do not fit the template."""
    template = _decoded(text)
    parameters = _parameters(template, given)
    conditions: dict[str, bool] = {}
    for name, condition in template.get("Conditions", {}).items():
        conditions[name] = _holds(condition, parameters, conditions)
    mappings = template.get("Mappings", {})
    chosen = {
        name: it for name, it in template["Resources"].items() if "Condition" not in it or conditions[it["Condition"]]
    }
    outputs = {
        name: it["Value"]
        for name, it in template.get("Outputs", {}).items()
        if "Condition" not in it or conditions[it["Condition"]]
    }
    declared = {name: _declared(name, it, set(chosen), conditions) for name, it in chosen.items()}
    return Template(dict(_ordered(declared)), outputs, conditions, parameters, mappings)


@cache
def _decoded(text: str) -> dict[str, Any]:
    template, problems = decode_str(text)
    if problems:
        raise Refused("ValidationError", f"Template format error: {problems}")
    transforms = template.get("Transform", [])
    transforms = transforms if isinstance(transforms, list) else [transforms]
    if "AWS::LanguageExtensions" in transforms:
        problems, template = language_extension(LintedTemplate("template", template, [REGION]))
        assert not problems
    plain: dict[str, Any] = json.loads(json.dumps(template))
    if "AWS::SecretsManager-2024-09-16" in transforms:
        _add_rotation(plain["Resources"])
    return plain


def _add_rotation(resources: dict[str, Any]) -> None:
    """Add the nested stack of the password rotation, as the macro AWS::SecretsManager-2024-09-16 does."""
    for name, it in list(resources.items()):
        if "HostedRotationLambda" in it.get("Properties", {}):
            nested = f"{name}HostedRotationLambda"
            hosted = it["Properties"]["HostedRotationLambda"]
            resources[nested] = {"Type": "AWS::CloudFormation::Stack", "Properties": {"Parameters": hosted}}
            if "Condition" in it:
                resources[nested]["Condition"] = it["Condition"]
            needed = it.get("DependsOn", [])
            it["DependsOn"] = [*(needed if isinstance(needed, list) else [needed]), nested]


def _parameters(template: dict[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    declared = template.get("Parameters", {})
    if unknown := sorted(set(given) - set(declared)):
        raise Refused("ValidationError", f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    missing = sorted(name for name, it in declared.items() if name not in given and "Default" not in it)
    if missing:
        raise Refused("ValidationError", f"Parameters: [{', '.join(missing)}] must have values")
    values = {name: str(given.get(name, it.get("Default"))) for name, it in declared.items()}
    for name, value in values.items():
        about = declared[name]
        allowed = [str(each) for each in about.get("AllowedValues", [value])]
        too_small = float(value) < float(about["MinValue"]) if "MinValue" in about else False
        too_large = float(value) > float(about["MaxValue"]) if "MaxValue" in about else False
        wrong = value not in allowed or not re.fullmatch(about.get("AllowedPattern", r"(?s).*"), value)
        if wrong or too_small or too_large:
            raise Refused("ValidationError", f"Parameter {name} failed to satisfy its constraint")
    return values


def _holds(condition: Any, parameters: Mapping[str, str], known: Mapping[str, bool]) -> bool:
    (name, inner) = next(iter(condition.items()))
    if name == "Condition":
        return known[inner]
    if name == "Fn::Equals":
        left, right = (str(parameters[it["Ref"]]) if isinstance(it, dict) else str(it) for it in inner)
        return left == right
    each = [_holds(it, parameters, known) for it in inner]
    return {"Fn::Not": not each[0], "Fn::And": all(each), "Fn::Or": any(each)}[name]


def _declared(name: str, it: dict[str, Any], names: set[str], conditions: Mapping[str, bool]) -> Declared:
    explicit = it.get("DependsOn", [])
    needs = {
        *(explicit if isinstance(explicit, list) else [explicit]),
        *_references(it.get("Properties", {}), conditions),
    }
    return Declared(
        name,
        it["Type"],
        it.get("Properties", {}),
        frozenset(needs & names - {name}),
        it.get("DeletionPolicy", "Delete"),
    )


def _references(tree: Any, conditions: Mapping[str, bool]) -> Iterator[str]:
    if isinstance(tree, list):
        for it in tree:
            yield from _references(it, conditions)
    if not isinstance(tree, dict):
        return
    for name, inner in tree.items():
        if name == "Ref":
            yield inner
        elif name == "Fn::GetAtt":
            yield inner[0] if isinstance(inner, list) else inner.split(".")[0]
        elif name == "Fn::Sub":
            text = inner[0] if isinstance(inner, list) else inner
            yield from (found.split(".")[0] for found in _NAME.findall(text))
        if name == "Fn::If":
            yield from _references(inner[1] if conditions[inner[0]] else inner[2], conditions)
        else:
            yield from _references(inner, conditions)


def _ordered(declared: dict[str, Declared]) -> Iterator[tuple[str, Declared]]:
    made: set[str] = set()
    while len(made) < len(declared):
        ready = [name for name, it in declared.items() if name not in made and it.needs <= made]
        assert ready, f"circular dependency between {sorted(set(declared) - made)}"
        for name in ready:
            made.add(name)
            yield name, declared[name]


@cache
def schema(kind: str) -> dict[str, Any]:
    """Return AWS's schema of a type of resource."""
    return dict(PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema)


@cache
def name_property(kind: str) -> str:
    """Return the property that names a resource of this type in its account, or "" if the type has none."""
    about = schema(kind)
    identifiers = [path.rpartition("/")[2] for path in about.get("primaryIdentifier", [])]
    read_only = {path.rpartition("/")[2] for path in about.get("readOnlyProperties", [])}
    usual = [*(name for name in identifiers if name not in read_only), "Name", f"{kind.split('::')[-1]}Name"]
    return next((name for name in usual if name in about["properties"] and name.endswith(("Name", "Identifier"))), "")


@cache
def replacing(kind: str) -> frozenset[str]:
    """Return the properties whose change replaces a resource of this type."""
    return frozenset(path.split("/")[2] for path in schema(kind).get("createOnlyProperties", []))
