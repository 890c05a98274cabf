"""Switches AWS X-Ray on or off for the functions of a stage.

Chalice switches tracing on for functions and for the API, but off only for the API. So this module switches it off for
the functions.
"""

from infra.deploy import project
from infra.deploy.target import Target

ACTIVE, PASS_THROUGH = "Active", "PassThrough"  # Lambda's modes; the second one is Lambda's default


def switch(target: Target) -> None:
    """Give all functions the tracing mode of the target. A repetition changes nothing."""
    client, mode = target.client("lambda"), ACTIVE if target.tracing else PASS_THROUGH
    for name in project.function_names(target):
        found = client.get_function_configuration(FunctionName=name)
        if found.get("TracingConfig", {}).get("Mode", PASS_THROUGH) != mode:
            client.update_function_configuration(FunctionName=name, TracingConfig={"Mode": mode})
            client.get_waiter("function_updated_v2").wait(FunctionName=name)
