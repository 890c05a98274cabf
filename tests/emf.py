"""Checks log lines in CloudWatch's embedded metric format (EMF). The checks are the JSON Schema that AWS publishes, and
the rules that AWS states only in words."""

from typing import Any

from jsonschema import Draft202012Validator

Json = dict[str, Any]
UNITS = (
    "^(Seconds|Microseconds|Milliseconds|Bytes|Kilobytes|Megabytes|Gigabytes|Terabytes|Bits|Kilobits|Megabits"
    "|Gigabits|Terabits|Percent|Count|Bytes/Second|Kilobytes/Second|Megabytes/Second|Gigabytes/Second"
    "|Terabytes/Second|Bits/Second|Kilobits/Second|Megabits/Second|Gigabits/Second|Terabits/Second|Count/Second"
    "|None)$"
)
_DIMENSION: Json = {"type": "string", "pattern": "^(.*)$", "minLength": 1, "maxLength": 250}
_METRIC: Json = {
    "type": "object",
    "required": ["Name"],
    "properties": {
        "Name": {"type": "string", "pattern": "^(.*)$", "minLength": 1, "maxLength": 1024},
        "Unit": {"type": "string", "pattern": UNITS},
        "StorageResolution": {"type": "integer"},
    },
    # AWS says: "objects defined by this specification MUST NOT contain any additional members".
    "additionalProperties": False,
}
_DIRECTIVE: Json = {
    "type": "object",
    "required": ["Namespace", "Dimensions", "Metrics"],
    "properties": {
        "Namespace": {"type": "string", "pattern": "^(.*)$", "minLength": 1, "maxLength": 1024},
        "Dimensions": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "array", "minItems": 0, "maxItems": 30, "items": _DIMENSION},
        },
        "Metrics": {"type": "array", "maxItems": 100, "items": _METRIC},
    },
    "additionalProperties": False,
}
SCHEMA: Json = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {"type": "array", "items": _DIRECTIVE},
            },
            "additionalProperties": False,
        }
    },
}
Point = tuple[str, tuple[tuple[str, str], ...]]  # the name of a metric, and its dimensions as pairs (name, value)


def points(line: Json) -> dict[Point, float]:
    """Return the values that CloudWatch extracts from a log line. Raise AssertionError if the line is not valid EMF."""
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(line)] == []
    values: dict[Point, float] = {}
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for metric in directive["Metrics"]:
            value = line[metric["Name"]]
            assert isinstance(value, int | float)
            assert not isinstance(value, bool)
            for names in directive["Dimensions"]:
                for name in names:
                    assert isinstance(line[name], str)
                    assert 1 <= len(line[name]) <= 1024
                values[metric["Name"], tuple((name, line[name]) for name in names)] = value
    return values


def of_stage(line: Json) -> dict[str, float]:
    """Return the metrics of a log line that are about the whole stage. These are the metrics with only two
    dimensions."""
    return {name: value for (name, dimensions), value in points(line).items() if len(dimensions) == 2}
