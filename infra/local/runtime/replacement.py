"""Makes ministack invoke Python functions with this package instead of its own threads, workers and retries."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from chalicelib.core.browser_headers import HEADERS
from infra.local.runtime.lambdas import Key, Lambdas
from infra.local.runtime.records import Credentials, Function, Json
from infra.local.runtime.worker import Outcome

Replace = Callable[[Any, str, Any], None]
_TOO_MANY = "all workers are busy: try again in a second"
_PROBLEM = {"type": "about:blank", "title": "Too Many Requests", "status": 429, "detail": _TOO_MANY}
_PROBLEM_HEADERS = {
    "Content-Type": "application/problem+json",
    "Retry-After": "1",
    **HEADERS,
}


def install(credentials: Credentials, replace: Replace) -> Lambdas:
    """Replace the code in which ministack invokes functions. `replace` sets an attribute of a module, and fails if the
    module has no such attribute."""
    from ministack.services import apigateway_v1, eventbridge, lambda_svc

    functions: Any = lambda_svc
    lambdas = Lambdas(
        credentials,
        lambda key: functions._functions.get_scoped(*key),
        functions._run_with_function_config_scope,
        functions._route_async_failure,
    )
    by_ministack = functions.invoke_async_with_retry
    run_by_ministack = functions.run_reentrant

    async def run(work: Callable[..., Any], record: Json, event: Any, **named: Any) -> Json:
        function = Function(record)
        if not function.is_python:
            result: Json = await run_by_ministack(work, record, event, **named)
            return result
        return _result(await lambdas.request(function, event), functions)

    def submit(record: Json, event: Any) -> None:
        function = Function(record)
        if function.is_python:
            lambdas.submit(function, event)
        else:
            by_ministack(record, event)

    def dispatch(arn: str, payload: str) -> None:
        record, config, _ = functions._get_func_record_for_ref(arn)
        if record and config:
            submit(functions._execution_record_for_config(record, config), json.loads(payload))

    def retire(name: str, qualifier: str = "", account: str = "", region: str = "") -> None:  # noqa: ARG001
        key: Key = (account or functions.get_account_id(), region or functions.get_region(), name)
        lambdas.retire(key)

    replace(functions, "run_reentrant", run)
    replace(functions, "invoke_async_with_retry", submit)
    replace(functions, "invalidate_worker", retire)
    replace(functions, "_invoke", _starting_ahead(functions._invoke, lambdas, functions))
    _resize(lambdas, functions, replace)
    replace(apigateway_v1, "_call_lambda_raw", _calling(lambdas, functions, run))
    replace(eventbridge, "_dispatch_to_lambda", dispatch)
    return lambdas


def _calling(lambdas: Lambdas, functions: Any, run: Callable[..., Awaitable[Json]]) -> Any:
    """Return the function with which API Gateway calls a function. `run` runs functions that are not in Python."""

    async def call(reference: str, event: Any, *, account_id: str = "", region: str = "") -> tuple[Json | None, str]:
        found = functions._get_func_record_for_ref_in_scope(reference, account_id=account_id, region=region)
        record, config, name = found
        if record is None or config is None:
            return None, f"Lambda function '{reference or name}' not found"
        executed = functions._execution_record_for_config(record, config)
        function = Function(executed)
        if function.is_python:
            result = _response(await lambdas.request(function, event), functions)
        else:
            result = await run(functions._execute_function_with_config_scope, executed, event)
        return (_too_many() if result.get("throttle") else result), ""

    return call


def _starting_ahead(invoke: Callable[..., Awaitable[Any]], lambdas: Lambdas, functions: Any) -> Any:
    """Return ministack's operation Invoke with an addition: a dry run starts workers before the first event."""
    starting: set[asyncio.Task[None]] = set()

    async def invoked(name: str, *arguments: Any, **named: Any) -> Any:
        response = await invoke(name, *arguments, **named)
        if response[0] == 204:
            task = asyncio.get_running_loop().create_task(lambdas.start_ahead(Function(functions._functions[name])))
            starting.add(task)
            task.add_done_callback(starting.discard)
        return response

    return invoked


def _resize(lambdas: Lambdas, functions: Any, replace: Replace) -> None:
    """Let a changed concurrency reach the events that wait already."""

    def resizing(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(name: str, *arguments: Any) -> Any:
            response = change(name, *arguments)
            if name in functions._functions:
                lambdas.resize(Function(functions._functions[name]))
            return response

        return changed

    for operation in ("_put_function_concurrency", "_delete_function_concurrency"):
        replace(functions, operation, resizing(getattr(functions, operation)))


def _result(outcome: Outcome | None, functions: Any) -> Json:
    """Return an outcome in ministack's form."""
    if outcome is None:
        throttled: Json = functions._throttle_response("ReservedFunctionConcurrentInvocationLimitExceeded", _TOO_MANY)
        return throttled
    if outcome.failed:
        return {"body": outcome.parsed(), "error": True, "function_error": "Unhandled", "log": ""}
    return {"body": outcome.content.decode(), "raw_payload": True, "log": ""}


def _response(outcome: Outcome | None, functions: Any) -> Json:
    """Return an outcome for API Gateway. ministack parses a result that is JSON, but takes a response as it is."""
    if outcome is None or outcome.body is None:
        return _result(outcome, functions)
    return {"body": outcome.parsed(), "log": ""}


def _too_many() -> Json:
    """Return the response for a client when no worker was free. It has the form of a function's own response."""
    return {"body": {"statusCode": 429, "headers": _PROBLEM_HEADERS, "body": json.dumps(_PROBLEM)}}
