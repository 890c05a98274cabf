"""Tests that the IAM policies allow exactly the AWS requests that the functions send. Each function runs, and the test
records its requests."""

import io
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from chalicelib.outbox.invocations import ByRelay
from chalicelib.services import services
from infra.deploy.policies import policies
from infra.venv import ROOT
from tests.integration.http_api import Api
from tests.integration.landing import Landing, Row
from tests.integration.s3_fixtures import BACKUP, ERRORED, LANDING
from tests.integration.sqs_fixtures import DEAD_LETTERS, INGEST, Queue

Call = tuple[str, str]  # an action of IAM, and the resource that it needs
NAMES = {
    "LANDING_BUCKET": LANDING,
    "ERRORED_BUCKET": ERRORED,
    "BACKUP_BUCKET": BACKUP,
    "DEAD_LETTER_QUEUE": DEAD_LETTERS,
}
NOTICES = "arn:aws:sns:us-east-1:123456789012:hireflow-local-notices"
UNRECORDED = {  # actions that the policies allow although these tests record no such request
    # Lambda itself sends these requests.
    "every-function": {"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"}
    | {"secretsmanager:GetSecretValue"}  # some stages keep the database login in a secret
    | {"s3:AbortMultipartUpload"},  # sent only if another request of an upload fails
    "ingest": {"s3:ListBucket"}  # without this right, S3 responds 403 instead of 404 if an object is missing
    | {"sqs:SendMessage"}  # Lambda itself sends dead letters
    | {"lambda:InvokeFunction"},  # sent for a handover
}
_S3 = {
    "HeadBucket": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "HeadObject": "GetObject",
    "DeleteObjects": "DeleteObject",
    "CopyObject": "PutObject",
}


def calls_of(service: str, operation: str, params: Row) -> Iterator[Call]:
    """Yield the actions and resources that IAM checks for a request."""
    if service == "sqs":
        yield f"sqs:{operation}", f"arn:aws:sqs:us-east-1:123456789012:{DEAD_LETTERS}"
    elif service == "lambda":
        name = params["FunctionName"]  # a name or an ARN
        whole = f"arn:aws:lambda:us-east-1:123456789012:function:hireflow-local-{name}"
        yield "lambda:InvokeFunction", name if name.startswith("arn:") else whole
    elif service == "events":
        assert {entry["Source"] for entry in params["Entries"]} == {"hireflow"}
        yield "events:PutEvents", "arn:aws:events:us-east-1:123456789012:event-bus/default"
    elif service == "sns":
        yield f"sns:{operation}", params["TopicArn"]
    elif service == "s3":
        action, bucket = f"s3:{_S3.get(operation, operation)}", f"arn:aws:s3:::{params['Bucket']}"
        if action == "s3:GetObject" and "VersionId" in params:
            action = "s3:GetObjectVersion"
        deleted = [item["Key"] for item in params.get("Delete", {}).get("Objects", ())]
        keys = deleted or ([params["Key"]] if "Key" in params else [])
        yield from ((action, f"{bucket}/{key}") for key in keys)
        if not keys:
            yield action, bucket
        if "CopySource" in params:
            yield "s3:GetObject", f"arn:aws:s3:::{params['CopySource']}"
    else:
        raise AssertionError(f"this test does not know the service {service}")


class Stage:
    """Runs the functions in this process. `recorded` has the IAM actions and resources of the requests that a function
    has sent."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.recorded: list[Call] = []

    def invoke(self, function: str, event: Any = None) -> Any:
        scheduled = self.api.client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [])
        return self.api.client.lambda_.invoke(function, event or scheduled).payload

    def record(self, model: Any, params: Row, **_: Any) -> None:
        # botocore uses CreateBucket only to build the address of a form, and only tests send CreateTopic.
        if model.name not in ("CreateBucket", "CreateTopic"):
            self.recorded += calls_of(model.service_model.service_name, model.name, params)

    def answer(self, params: Any, context: Any, **_: Any) -> tuple[SimpleNamespace, Row]:
        """Answer the invocation of a function. Only the function `outbox` is really invoked, because its callers need
        its result."""
        name = params["url_path"].split("/")[3]
        result = self.invoke("outbox", json.loads(params["body"])) if name == "outbox" else None
        return SimpleNamespace(status_code=200), {"Payload": io.BytesIO(json.dumps(result).encode())}

    def record_form(self, request: Any, **_: Any) -> None:
        """Record the right that a form needs. The sender of a form puts an object with the rights of the function that
        signed the form."""
        fields = request.context.get("s3-presign-post-fields")
        if fields:
            self.recorded.append(("s3:PutObject", f"arn:aws:s3:::{LANDING}/{fields['key']}"))


@pytest.fixture
def stage(api: Api, queue: Queue) -> Iterator[Stage]:
    """Record the requests of all clients that are created from now on. Earlier clients belong to the test, and their
    requests are not recorded."""
    recording = Stage(api)
    boto3.setup_default_session()
    session: Any = boto3.DEFAULT_SESSION
    events = session.events
    events.register("before-parameter-build", recording.record)
    events.register("before-sign.s3.PutObject", recording.record_form)
    events.register("before-call.lambda.Invoke", recording.answer)
    yield recording
    boto3.setup_default_session()


def run_ingest(stage: Stage, landing: Landing, queue: Queue) -> None:
    older, newer = landing.put("departments.csv", "1,Old\n"), landing.put("departments.csv", "1,New\n2,\n")
    for event in (older, newer):
        event["Records"][0]["s3"]["object"]["sequencer"] = "0A"
    stage.invoke("ingest", newer)
    stage.invoke("ingest", older)
    unversioned = landing.put("jobs.csv", "1,Clerk\n")
    unversioned["Records"][0]["s3"]["object"]["versionId"] = "null"
    stage.invoke("ingest", unversioned)
    with landing.database.session() as session:
        session.run("UPDATE loads SET status = 'queued' WHERE source LIKE '%jobs.csv'")
    stage.invoke("ingest", unversioned)


def run_backup(stage: Stage, landing: Landing, queue: Queue) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    stage.invoke("backup")
    landing.upload("departments.csv", "1,More sales\n")
    stage.invoke("backup")
    assert stage.invoke("backup")["outcome"] == "unchanged"


def run_verify(stage: Stage, landing: Landing, queue: Queue) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    stage.invoke("backup")
    stage.recorded.clear()
    assert stage.invoke("verify")["faults"] == []
    [jobs] = [key for key in landing.s3.keys(BACKUP) if key.endswith("jobs.avro")]
    landing.s3.client.delete_object(Bucket=BACKUP, Key=jobs)
    assert stage.invoke("verify")["tables"]["jobs"]["faults"] == ["the file is missing"]


def run_sweep(stage: Stage, landing: Landing, queue: Queue) -> None:
    landing.upload("departments.csv", "1,Sales\n2,\n")
    stage.invoke("backup")
    stage.recorded.clear()
    landing.put("jobs.csv", "1,Clerk\n")  # nobody delivers the event, so the sweep has to find the file
    with landing.database.session() as session:
        session.run("UPDATE loads SET status = 'running', attempts = 3")
        session.run("UPDATE landing_sweep SET swept_at = now() - interval '1 hour'")
    assert stage.invoke("sweep")["offered"] == 2
    with landing.database.session() as session:
        session.run("UPDATE loads SET attempts = 3")
        session.run(
            "INSERT INTO loads (source, kind, status, errored_key, finished_at)"
            f" VALUES ('s3://{LANDING}/gone.csv', 'csv', 'failed', 'jobs/x.ndjson', now() - interval '366 days')"
        )
        session.run("UPDATE loads SET created_at = now() - interval '366 days'")
    done = stage.invoke("sweep")
    assert (done["failed"], done["pruned"]) == (1, 1)


def run_redrive(stage: Stage, landing: Landing, queue: Queue) -> None:
    function = INGEST.replace("test-", "hireflow-local-")
    for name in (function, function.removesuffix(":$LATEST")):
        queue.fail(landing.put("departments.csv", "1,Sales\n"), name)
    queue.send("hello")
    stage.invoke("redrive")
    services().dead_letters.depth()  # redrive sends this request only if its time runs out, so the test sends it, too
    assert queue.depth() == 1


def run_relay(stage: Stage, landing: Landing, queue: Queue) -> None:
    """Send an event, a notice and invocations, and measure the queue. On this stage, functions inside the network reach
    no service of AWS but S3."""
    client = boto3.client("sns", region_name="us-east-1")
    assert client.create_topic(Name="hireflow-local-notices")["TopicArn"] == NOTICES
    landing.upload("departments.csv", "x\n")
    invoker = ByRelay(landing.database)
    for name in (
        "hireflow-local-ingest",
        "arn:aws:lambda:us-east-1:123456789012:function:hireflow-local-ingest:$LATEST",
    ):
        invoker.invoke_later(name.replace("hireflow-local-", "") if ":" not in name else name, {})
    stage.recorded.clear()
    sent = stage.invoke("relay")
    assert sent == {"events": 1, "notices": 1, "invocations": 2, "busy": False}
    assert invoker.measured().depth == 0


def run_outbox(stage: Stage, landing: Landing, queue: Queue) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    stage.recorded.clear()
    assert len(stage.invoke("outbox", {"relay": "me"})["messages"]) == 1
    assert stage.invoke("outbox", {"reopen": "hello"})["refused"]


def run_api_handler(stage: Stage, landing: Landing, queue: Queue) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    stage.invoke("backup")
    stage.recorded.clear()
    assert stage.api.get("/health").status == 200
    assert stage.api.get("/backups").status == 200
    assert stage.api.post("/department/backup/restore").status == 202
    refused = stage.api.post("/department/upload", {"id": 0})
    assert refused.status == 422
    assert stage.api.get(f"/loads/{refused.body['load_id']}/rejects").status == 200
    assert stage.api.send("POST", "/uploads/check?dataset=jobs", b"1,a", {"Content-Type": "text/csv"}).status == 200
    assert stage.api.post("/uploads", {"dataset": "jobs", "filename": "new.csv", "size": 1}).status == 201


def run_migrate(stage: Stage, landing: Landing, queue: Queue) -> None:
    """Run nothing: the function `migrate` sends no AWS requests, because it uses only the database."""


def run_tokens(stage: Stage, landing: Landing, queue: Queue) -> None:
    stage.invoke("tokens", {"action": "list"})


RUNS = {name.removeprefix("run_"): run for name, run in dict(globals()).items() if name.startswith("run_")}
POLICIES = policies(ROOT / ".chalice", "local", RUNS, NAMES)


def test_every_function_of_the_configuration_runs_here() -> None:
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    assert set(RUNS) == set(config["lambda_functions"])


@pytest.mark.parametrize("function", RUNS)
def test_a_policy_allows_exactly_the_calls_of_its_function(
    stage: Stage, landing: Landing, queue: Queue, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    # 1e-8 days are about a millisecond, so all earlier restore points have expired.
    monkeypatch.setenv("BACKUP_RETENTION_DAYS", "1e-8")
    services.cache_clear()
    monkeypatch.setenv("NOTICE_TOPIC", NOTICES)
    if function in ("relay", "redrive"):  # with this setting, these functions need more rights
        monkeypatch.setenv("AWS_CALLS", "relay")
    RUNS[function](stage, landing, queue)
    allowed = [
        (action, resource)
        for statement in POLICIES[function]["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    ]
    refused = [call for call in stage.recorded if not any(_covers(pair, call) for pair in allowed)]
    assert refused == []
    excused = UNRECORDED["every-function"] | UNRECORDED.get(function, set())
    idle = [pair for pair in allowed if pair[0] not in excused and not any(_covers(pair, c) for c in stage.recorded)]
    assert idle == []


def _covers(pair: Call, call: Call) -> bool:
    return pair[0] == call[0] and fnmatchcase(call[1], pair[1])
