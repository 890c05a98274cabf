"""Limits how many requests a second API Gateway passes on to the functions of a stage.

Anybody may send requests to the API, also without a token. Each request that reaches a function costs money and a
database connection. Requests beyond the limit get 429 from API Gateway.

API Gateway applies the limits of a stage to each method by itself
(https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html). So the limit of the
whole API is the reserved concurrency of its function (infra/deploy/concurrency.py).
"""

from infra.deploy import project
from infra.deploy.target import Target

_BURST_SECONDS = 2  # a page of the dashboard sends several requests at once
_MOST_BURST = 5000  # API Gateway's default quota for a burst of all APIs of an account

Operations = list[dict[str, str]]


def limit(target: Target, rate: int) -> None:
    """Limit each method of the API to `rate` requests a second. A repetition changes nothing."""
    target.client("apigateway").update_stage(
        restApiId=project.api_id(target),
        stageName=project.configuration(target)["api_gateway_stage"],
        patchOperations=operations(rate),
    )


def operations(rate: int) -> Operations:
    """Return the changes of the API's stage. `*/*` stands for every resource and every method."""
    burst = min(rate * _BURST_SECONDS, _MOST_BURST)
    return [
        {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": str(rate)},
        {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": str(burst)},
    ]
