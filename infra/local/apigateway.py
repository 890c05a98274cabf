"""Imports an OpenAPI 2 document into API Gateway part by part.

ministack has no operation that imports a whole document, so this module sends one request for each part.
"""

from typing import Any

Json = dict[str, Any]
_PAGE = 500


def import_api(client: Any, document: Json, endpoint_types: list[str]) -> Json:
    """Create an API from the document, as ImportRestApi does."""
    api = client.create_rest_api(
        name=document["info"]["title"],
        endpointConfiguration={"types": endpoint_types},
    )
    return put_api(client, api["id"], document)


def put_api(client: Any, api_id: str, document: Json) -> Json:
    """Change the API so that it matches the document, as PutRestApi does in the mode `overwrite`.

    `client` must not validate parameters, because ministack expects all binary media types in one list. AWS, and so
    boto3, expects one patch operation for each type.
    """
    types = document.get("x-amazon-apigateway-binary-media-types", [])
    change: Any = {"op": "replace", "path": "/binaryMediaTypes", "value": types}
    client.update_rest_api(restApiId=api_id, patchOperations=[change])
    resources = _resources(client, api_id)
    for path in sorted(resources, key=len, reverse=True):  # delete children before their parents
        if path != "/" and not any(f"{wanted}/".startswith(f"{path}/") for wanted in document["paths"]):
            client.delete_resource(restApiId=api_id, resourceId=resources.pop(path)["id"])
    for path, methods in document["paths"].items():
        resource = _resource(client, api_id, resources, path)
        for old in list(resource.get("resourceMethods") or ()):
            client.delete_method(restApiId=api_id, resourceId=resource["id"], httpMethod=old)
        for name, method in methods.items():
            at = {"restApiId": api_id, "resourceId": resource["id"], "httpMethod": _http_method(name)}
            _put_method(client, at, method)
    response: Json = client.get_rest_api(restApiId=api_id)
    return response


def _resources(client: Any, api_id: str) -> dict[str, Json]:
    """Return the resources of an API by path, with their methods."""
    resources: dict[str, Json] = {}
    for page in client.get_paginator("get_resources").paginate(
        restApiId=api_id, embed=["methods"], PaginationConfig={"PageSize": _PAGE}
    ):
        resources |= {item["path"]: item for item in page["items"]}
    return resources


def _resource(client: Any, api_id: str, resources: dict[str, Json], path: str) -> Json:
    """Return the resource of a path. Create it and its parents if they are missing."""
    if path not in resources:
        parent, _, part = path.rpartition("/")
        parent_resource = _resource(client, api_id, resources, parent or "/")
        resources[path] = client.create_resource(restApiId=api_id, parentId=parent_resource["id"], pathPart=part)
    return resources[path]


def _http_method(name: str) -> str:
    return "ANY" if name == "x-amazon-apigateway-any-method" else name.upper()


def _put_method(client: Any, at: Json, method: Json) -> None:
    needs_key = any("api_key" in requirement for requirement in method.get("security", ()))
    client.put_method(**at, authorizationType="NONE", apiKeyRequired=needs_key)
    for status, response in method.get("responses", {}).items():
        headers = {f"method.response.header.{name}": False for name in response.get("headers", {})}
        client.put_method_response(**at, statusCode=status, responseParameters=headers)
    integration = method["x-amazon-apigateway-integration"]
    optional = ("uri", "requestTemplates", "passthroughBehavior", "contentHandling")
    client.put_integration(
        **at,
        type=integration["type"].upper(),
        integrationHttpMethod=integration.get("httpMethod", "POST"),
        **{name: integration[name] for name in optional if name in integration},
    )
    if integration["type"] == "mock":  # for CORS preflights; API Gateway itself makes the response
        for pattern, response in integration.get("responses", {}).items():
            client.put_integration_response(
                **at,
                statusCode=str(response["statusCode"]),
                selectionPattern="" if pattern == "default" else pattern,
                responseParameters=response.get("responseParameters", {}),
                responseTemplates=response.get("responseTemplates", {}),
            )
