"""Records the requests that a deployment sends to AWS. This includes the requests of Chalice, which runs in a process
of its own.

A proxy passes every request on to the embedded cloud. botocore's models say to which operation a request belongs.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from botocore.loaders import create_loader

from tests.deployer_policies import ACCOUNT, REGION

_SERVICE = re.compile(r"Credential=[^/]+/\d+/[\w-]+/([\w-]+)/aws4_request")
_S3 = {  # the actions whose names differ from the names of their operations
    "DeleteObjects": "DeleteObject",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjectsV2": "ListBucket",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetBucketCors": "GetBucketCORS",
}
_OF_ALL = ("DescribeLogGroups", "DescribeStackResources")  # these name no resource that IAM could check
_OF_RDS = {"DBClusterIdentifier": "cluster", "DBInstanceIdentifier": "db"}
_HOP = ("connection", "transfer-encoding", "content-length")


@dataclass(frozen=True)
class Call:
    """A request with the action and the resource for which IAM checks a permission."""

    action: str
    resource: str


@dataclass
class Recorder:
    """Keeps the requests that were sent so far. `stacks` maps the ids of change sets to the ids of their stacks."""

    calls: list[Call] = field(default_factory=list)
    stacks: dict[str, str] = field(default_factory=dict)

    def record(self, method: str, target: str, headers: Mapping[str, str], body: bytes, response: bytes) -> None:
        found = _SERVICE.search(headers.get("Authorization", ""))
        if not found:  # a request to Hireflow's API, which has no signature of AWS
            return
        service = found[1]
        operation, params = _parsed(service, method, target, headers, body)
        if (service, operation) == ("cloudformation", "CreateChangeSet"):
            ids = [re.search(rf"<{name}>(.+?)</{name}>".encode(), response) for name in ("Id", "StackId")]
            change_set, stack = (each[1].decode() for each in ids if each)
            self.stacks[change_set] = stack
        if (service, operation) != ("sts", "GetCallerIdentity"):  # nobody needs a permission for this
            self.calls += self.needed(service, method, operation, params)

    def needed(self, service: str, method: str, operation: str, params: Mapping[str, str]) -> Iterator[Call]:
        """Yield what IAM checks for a request, whose parameters at the top level are texts."""
        arn = f"arn:aws:{service}:{REGION}:{ACCOUNT}"
        if service == "cloudformation" and operation not in _OF_ALL:
            stack = self.stacks.get(params.get("ChangeSetName", ""), params.get("StackName", ""))
            yield Call(f"{service}:{operation}", stack if stack.startswith("arn:") else f"{arn}:stack/{stack}/id")
        elif service == "s3":
            key = f"/{params['Key']}" if "Key" in params else ""
            yield Call(f"s3:{_S3.get(operation, operation)}", f"arn:aws:s3:::{params['Bucket']}{key}")
        elif service == "apigateway":
            yield Call(f"apigateway:{method}", f"arn:aws:apigateway:{REGION}::{params['path']}")
        elif service == "lambda":
            name = params.get("FunctionName") or params.get("Resource", "")
            whole = name if name.startswith("arn:") else f"{arn}:function:{name}"
            action = "InvokeFunction" if operation == "Invoke" else operation
            yield Call(f"lambda:{action}", whole if name else "*")
        elif service == "iam":
            yield Call(f"iam:{operation}", f"arn:aws:iam::{ACCOUNT}:role/{params.get('RoleName', '')}")
        elif service == "events":
            yield Call(f"events:{operation}", f"{arn}:rule/{params.get('Rule') or params.get('Name', '')}")
        elif service == "logs" and operation not in _OF_ALL:
            yield Call(f"logs:{operation}", f"{arn}:log-group:{params['logGroupName']}:log-stream:")
        elif service == "sqs":
            queue = params.get("QueueName") or params["QueueUrl"].rpartition("/")[2]
            yield Call(f"sqs:{operation}", f"{arn}:{queue}")
        elif service == "secretsmanager":
            yield Call(f"secretsmanager:{operation}", f"{arn}:secret:{params.get('SecretId') or params['Name']}-AbCdEf")
        else:
            yield Call(f"{service}:{operation}", next((f"{arn}:{it}" for it in _databases(params)), "*"))


def _databases(params: Mapping[str, str]) -> Iterator[str]:
    return (f"{kind}:{params[name]}" for name, kind in _OF_RDS.items() if name in params)


@contextmanager
def recording(endpoint: str) -> Iterator[tuple[str, Recorder]]:
    """Yield the URL of a proxy for this endpoint, and a recorder of the requests to the proxy."""
    recorder, upstream = Recorder(), urlsplit(endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = HTTPConnection(upstream.hostname or "", upstream.port, timeout=960)
            try:
                # The header Host is not changed, because the signature of the request includes it.
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    connection.putheader(name, value)
                connection.endheaders(body)
                response = connection.getresponse()
                content = response.read()
            finally:
                connection.close()
            recorder.record(self.command, self.path, dict(self.headers.items()), body, content)
            self.send_response_only(response.status)
            for name, value in response.getheaders():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = handle_request  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", recorder
        finally:
            server.shutdown()
            thread.join()


def _parsed(
    service: str, method: str, target: str, headers: Mapping[str, str], body: bytes
) -> tuple[str, dict[str, str]]:
    """Return the operation of a request, and those of its top-level parameters that are texts."""
    if name := headers.get("X-Amz-Target"):
        params = json.loads(body or b"{}")
        return name.rpartition(".")[2], {key: value for key, value in params.items() if isinstance(value, str)}
    if headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        form = dict(parse_qsl(body.decode()))
        return form["Action"], form
    parts = urlsplit(target)
    query = parse_qs(parts.query, keep_blank_values=True)
    possible = [
        (len(route.query) + len(route.headers), route.operation, found.groupdict())
        for route in _routes(service)
        if route.method == method
        and (found := route.path.fullmatch(parts.path))
        and route.query <= set(query)
        and all(name in headers for name in route.headers)
    ]
    assert possible, f"{service}: {method} {target} is no operation"
    _, operation, groups = max(possible, key=lambda one: one[0])
    params = {name: unquote(value) for name, value in groups.items()}
    if body.startswith(b"{"):
        params |= {name: value for name, value in json.loads(body).items() if isinstance(value, str)}
    return operation, {**params, "path": unquote(parts.path)}


@dataclass(frozen=True)
class Route:
    """An operation of a service with a REST protocol. The URL of a request must have all query parameters in `query`,
    and the request must have all `headers`."""

    operation: str
    method: str
    path: re.Pattern[str]
    query: frozenset[str]
    headers: frozenset[str]


@cache
def _routes(service: str) -> list[Route]:
    # Clients of S3 change the model object that they share, so this function reads another copy of the model.
    model: Any = create_loader().load_service_model(service, "service-2")
    routes = []
    for name, operation in model["operations"].items():
        path, _, query = operation["http"]["requestUri"].partition("?")
        pattern = re.sub(r"\{(\w+)(\+?)\}", lambda one: f"(?P<{one[1]}>{'.+' if one[2] else '[^/]+'})", path)
        shape = model["shapes"][operation["input"]["shape"]] if "input" in operation else {}
        required = [shape["members"][member] for member in shape.get("required", ())]
        words = {one.partition("=")[0] for one in query.split("&") if one}
        routes.append(
            Route(
                name,
                operation["http"]["method"],
                re.compile(f"{pattern}/?"),
                frozenset({*words, *(one["locationName"] for one in required if one.get("location") == "querystring")}),
                frozenset(one["locationName"] for one in required if one.get("location") == "header"),
            )
        )
    return routes
