"""Adds the headers of `browser_headers` to the responses of API Gateway itself, as far as API Gateway accepts them.

API Gateway responds to some requests without invoking a function, for example with 403 if there is no such route.
"""

from chalicelib.core.browser_headers import WITHOUT_QUOTES
from infra.deploy import project
from infra.deploy.target import Target
from infra.locks import attempts

_TYPES = ("DEFAULT_4XX", "DEFAULT_5XX")  # these types hold for every kind of response that has no settings of its own
_PATIENCE = 60  # seconds; API Gateway accepts one deployment in five seconds, and Chalice has just made one


def add_headers(target: Target) -> None:
    """Add the headers, and deploy the API with them. A second call leads to the same result.

    This function has to run after each `chalice deploy`, which replaces the whole API and so removes the headers.
    """
    client, api = target.client("apigateway"), project.api_id(target)
    for kind in _TYPES:
        client.put_gateway_response(restApiId=api, responseType=kind, responseParameters=parameters())
    stage = project.configuration(target)["api_gateway_stage"]
    for again in attempts(_PATIENCE):
        try:
            client.create_deployment(restApiId=api, stageName=stage, tracingEnabled=target.tracing)
            return
        except client.exceptions.TooManyRequestsException:
            again()


def parameters() -> dict[str, str]:
    """Return the headers in the form that API Gateway expects: fixed values stand in single quotation marks."""
    return {f"gatewayresponse.header.{name}": f"'{value}'" for name, value in WITHOUT_QUOTES.items()}
