"""Measures the cost of the gate of the embedded AWS and of bodies on disk, compared with ministack alone."""

import io
import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from bench.callers import Request
from bench.cases import Scale
from bench.http import CALLERS, rate
from bench.results import Result
from bench.rig import Rig
from infra.local import apigateway, ports
from infra.local.aws import EmbeddedAws, environment
from infra.locks import wait_until
from infra.venv import ROOT

LARGE = 100 * 1024 * 1024
_PROXY = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
_ZIP = "bench.py", 'def handler(event, context):\n    return {"statusCode": 200, "body": "ok"}\n'
Settings = Mapping[str, str]


def gate(rig: Rig, scale: Scale) -> Iterator[Result]:
    gated = EmbeddedAws(rig.folder / "gated")
    gated.start(ports.free_port())
    try:
        with ungated(rig.folder / "ungated", gated.home) as port:
            servers = [(gated.port() or 0), port]
            yield _put(servers, gated.credentials, 2 * scale.rounds)
            yield _get(servers, gated.credentials, 2 * scale.rounds)
            yield from _requests(servers, gated.credentials, 2 * scale.rounds)
    finally:
        gated.stop()


@contextmanager
def ungated(folder: Path, gated: Path) -> Iterator[int]:
    """Run an embedded AWS without the gate. It has the same credentials as the one with the gate. Yield its port."""
    folder.mkdir()
    shutil.copyfile(gated / "credentials.json", folder / "credentials.json")
    port = ports.free_port()
    env = {
        "PATH": os.defpath,
        "TMPDIR": str(folder),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": ports.HOST,
        "AUTH": "true",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folder / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder / "s3"),
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
    }
    command = [str(environment(lambda _: None)), "-m", "bench.ungated", str(folder)]
    with (folder / "log").open("wb") as log:
        # The process has its own session, like the process with the gate. This makes the comparison fair, because the
        # scheduler gives each session the same CPU time.
        process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(lambda: not ports.is_free(port), 30, "the embedded AWS does not start")
            yield port
        finally:
            process.terminate()
            process.wait(60)


def _put(servers: list[int], credentials: Settings, rounds: int) -> Result:
    """Measure PUT requests of a large object. The signature covers the hash of the object."""
    body = os.urandom(LARGE)
    seconds: list[list[float]] = [[], []]
    signed = []
    for port in servers:
        _client(port, credentials, "s3").create_bucket(Bucket="bench")
        request = AWSRequest("PUT", f"http://{ports.HOST}:{port}/bench/large", data=body)
        keys = Credentials(credentials["AWS_ACCESS_KEY_ID"], credentials["AWS_SECRET_ACCESS_KEY"])
        S3SigV4Auth(keys, "s3", "us-east-1").add_auth(request)
        signed.append(dict(request.headers.items()))
    for turn in range(1 + rounds):
        for index, port in enumerate(servers):
            with closing(HTTPConnection(ports.HOST, port, timeout=60)) as connection:
                start = time.perf_counter()
                connection.request("PUT", "/bench/large", body, signed[index])
                response = connection.getresponse()
                assert response.status == 200, response.read()
            if turn:
                seconds[index].append(time.perf_counter() - start)
    return Result("PUT of 100 MB through the gate", "without the gate", seconds[0], seconds[1], 1.1)


def _get(servers: list[int], credentials: Settings, rounds: int) -> Result:
    """Measure reads of the large object. The server with the gate keeps bodies on disk only, and ministack alone reads
    them into memory."""
    seconds: list[list[float]] = [[], []]
    clients = [_client(port, credentials, "s3") for port in servers]
    for turn in range(1 + rounds):
        for index, s3 in enumerate(clients):
            start = time.perf_counter()
            body = s3.get_object(Bucket="bench", Key="large")["Body"]
            assert sum(map(len, body.iter_chunks(1024 * 1024))) == LARGE
            if turn:
                seconds[index].append(time.perf_counter() - start)
    return Result("GET of 100 MB through the gate", "without the gate", seconds[0], seconds[1], 1.1)


def _requests(servers: list[int], credentials: Settings, rounds: int) -> Iterator[Result]:
    works: list[list[tuple[str, str]]] = []  # for each server: the (url, path) of each kind of request
    for port in servers:
        s3 = _client(port, credentials, "s3")
        s3.put_object(Bucket="bench", Key="small", Body=b"x" * 1000)
        link = s3.generate_presigned_url("get_object", {"Bucket": "bench", "Key": "small"}, 3600)
        at = f"http://{ports.HOST}:{port}"
        works.append([(at, link.removeprefix(at)), (_api(port, credentials), "/x")])
    names = ("signed reads of 1 kB", "invocations by an API")
    for name, targets in zip(names, zip(*works, strict=True), strict=True):
        rates: list[list[float]] = [[], []]
        for turn in range(1 + rounds):
            for index, (url, path) in enumerate(targets):
                request = Request(name, "GET", urlsplit(url).path + path)
                per_second = rate(url, lambda request=request: request)  # type: ignore[misc]
                if turn:
                    rates[index].append(per_second)
        work = f"{name}, {CALLERS} clients, gate"
        yield Result(work, "without the gate", rates[0], rates[1], 0.9, True, "/s")


def _api(port: int, credentials: Settings) -> str:
    """Deploy an API with one function. Return its URL."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr(*_ZIP)
    role = _client(port, credentials, "iam").create_role(RoleName="bench", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    functions = _client(port, credentials, "lambda")
    arn = functions.create_function(
        FunctionName="bench",
        Runtime="python3.11",
        Role=role,
        Handler="bench.handler",
        Code={"ZipFile": code.getvalue()},
    )["FunctionArn"]
    functions.get_waiter("function_active_v2").wait(FunctionName="bench")
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": _PROXY.format(arn=arn)}
    document = {"info": {"title": "bench"}, "paths": {"/x": {"get": {"x-amazon-apigateway-integration": integration}}}}
    gateway = _client(port, credentials, "apigateway")
    api = apigateway.import_api(gateway, document, ["EDGE"])["id"]
    gateway.create_deployment(restApiId=api, stageName="api")
    functions.add_permission(
        FunctionName="bench", StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
    )
    return f"http://{ports.HOST}:{port}/_aws/execute-api/{api}/api"


def _client(port: int, credentials: Settings, service: str) -> Any:
    make: Any = boto3.client
    return make(
        service,
        endpoint_url=f"http://{ports.HOST}:{port}",
        region_name=credentials["AWS_DEFAULT_REGION"],
        aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
        config=Config(signature_version="s3v4" if service == "s3" else "v4", parameter_validation=False),
    )
