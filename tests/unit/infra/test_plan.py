"""Tests the plan of a deployment, and the comparison of the deployed settings with the new ones."""

import json
from typing import Any

from infra.deploy.plan import Functions, Plan, compare, wanted_settings
from infra.venv import ROOT

WANTED = {
    "memory": 512,
    "timeout": 30,
    "runtime": "python3.12",
    "architecture": "x86_64",
    "reserved concurrency": None,
    "subnets": [],
    "variables": {"LOG_LEVEL": "INFO", "RELEASE": "2"},
}


def functions(wanted: dict[str, Any], found: dict[str, Any], *, code_differs: bool = False) -> Functions:
    return compare(wanted, found, code_differs=code_differs)


def test_functions_are_created_kept_or_deleted() -> None:
    found = functions({"new": WANTED, "old": WANTED}, {"old": WANTED, "gone": WANTED})
    assert found == Functions(created=("new",), updated=(), deleted=("gone",), differences={})


def test_changed_code_updates_all_kept_functions() -> None:
    assert functions({"a": WANTED, "b": WANTED}, {"a": WANTED}, code_differs=True).updated == ("a",)


def test_changed_settings_are_listed() -> None:
    now = {**WANTED, "memory": 128, "subnets": ["subnet-1"], "reserved concurrency": 2, "runtime": "python3.11"}
    assert functions({"a": WANTED}, {"a": now}).differences == {
        "a": (
            "memory 128 -> 512",
            "runtime python3.11 -> python3.12",
            "reserved concurrency 2 -> none",
            "subnets subnet-1 -> none",
        )
    }


def test_changed_variables_are_listed_without_values() -> None:
    now = {**WANTED, "variables": {"LOG_LEVEL": "s3cret", "GONE": "s3cret", "RELEASE": "1"}}
    wanted = {**WANTED, "variables": {**WANTED["variables"], "NEW": "s3cret"}}  # type: ignore[dict-item]
    found = functions({"a": wanted}, {"a": now})
    assert found.differences == {"a": ("GONE removed", "LOG_LEVEL changed", "NEW added")}
    assert found.updated == ("a",)


def test_another_release_alone_is_no_changed_setting() -> None:
    now = {**WANTED, "variables": {**WANTED["variables"], "RELEASE": "1"}}  # type: ignore[dict-item]
    assert functions({"a": WANTED}, {"a": now}).differences == {}


def test_the_most_specific_place_in_the_configuration_wins() -> None:
    config = {
        "lambda_memory_size": 1,
        "lambda_timeout": 1,
        "environment_variables": {"A": "1", "B": "1"},
        "lambda_functions": {"f": {"lambda_memory_size": 3}, "g": {}},
        "stages": {
            "other": {"lambda_timeout": 9, "environment_variables": {"A": "9"}},
            "prod": {
                "lambda_architecture": "arm64",
                "lambda_timeout": 2,
                "environment_variables": {"B": "2"},
                "lambda_functions": {"f": {"reserved_concurrency": 4, "environment_variables": {"C": "3"}}},
            },
        },
    }
    found = wanted_settings(config, "prod")
    assert (found["f"]["memory"], found["f"]["timeout"], found["f"]["architecture"]) == (3, 2, "arm64")
    assert (found["f"]["reserved concurrency"], found["g"]["reserved concurrency"]) == (4, None)
    assert found["f"]["variables"] == {"A": "1", "B": "2", "C": "3"}
    assert (found["g"]["memory"], found["g"]["variables"]) == (1, {"A": "1", "B": "2"})


def test_the_configuration_sets_the_memory_of_ingest() -> None:
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    assert wanted_settings(config, "prod")["ingest"]["memory"] == 1024


def test_a_plan_is_printed_line_by_line() -> None:
    found = Functions(("hireflow-prod-new",), ("hireflow-prod",), (), {"hireflow-prod": ("memory 1 -> 2",)})
    plan = Plan({"storage": ["Modify B", "Add A"], "operations": []}, (), ("2", "1"), found)
    assert list(plan.lines()) == [
        "stack storage: 2 changes",
        "  Add A",
        "  Modify B",
        "stack operations: no change",
        "release 2: 1 is deployed",
        "functions to be created: hireflow-prod-new",
        "functions to be updated: hireflow-prod",
        "functions to be deleted: none",
        "  hireflow-prod: memory 1 -> 2",
    ]


def test_a_plan_begins_with_what_is_lost_and_ends_with_the_costs() -> None:
    plan = Plan({"storage": []}, warnings=("THE DATABASE IS REPLACED",), costs=("cost of a month:", "  together: 1"))
    assert list(plan.lines()) == [
        "THE DATABASE IS REPLACED",
        "stack storage: no change",
        "functions: not known until the stacks exist",
        "cost of a month:",
        "  together: 1",
    ]


def test_the_plan_of_a_new_stage_lists_what_is_not_known_yet() -> None:
    assert list(Plan({"storage": ["Add A"]}, ("database",)).lines()) == [
        "stack storage: 1 change",
        "  Add A",
        "stack database: to be created; its parameters depend on stacks that do not exist yet",
        "functions: not known until the stacks exist",
    ]
