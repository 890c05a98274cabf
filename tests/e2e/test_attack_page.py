"""Tests that a malicious web page cannot take over the stage. The page has another origin, and is open in a browser on
this machine."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from infra.deploy.target import APP
from tests.e2e.browser import launched
from tests.e2e.cloud import Cloud

# ministack without the gate would accept this header as a signature of its root user.
FORGED = (
    "AWS4-HMAC-SHA256 Credential=test/20261124/us-east-1/{service}/aws4_request,"
    " SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
)
# A page can send a request in two modes: "cors", and "no-cors", which hides the response from the page.
SEND = """async ([url, options]) => {
    const outcomes = [];
    for (const mode of ["cors", "no-cors"]) {
        try {
            const response = await fetch(url, {...options, mode, cache: "no-store"});
            outcomes.push(response.type === "opaque" ? "unseen" : `${response.status} ${await response.text()}`);
        } catch (error) {
            outcomes.push("refused");
        }
    }
    return outcomes;
}"""
FORM = """([url, fields]) => {
    const form = document.createElement("form");
    form.method = "POST"; form.action = url; form.enctype = "text/plain"; form.target = "frame";
    for (const [name, value] of Object.entries(fields)) {
        const field = document.createElement("input");
        field.name = name; field.value = value; form.append(field);
    }
    const frame = document.createElement("iframe");
    frame.name = "frame"; document.body.append(frame, form);
    form.submit();
}"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>kittens</title><body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def pages() -> Iterator[int]:
    """Serve pages of another origin. Yields the port of the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


@pytest.fixture(params=["127.0.0.1", "localhost"])
def attacker(request: pytest.FixtureRequest, browser: Browser, stage: str | None) -> Iterator[Page]:
    """Open a tab with a page of another origin. Each test runs with two pages. The first page has the host of the stage
    and another port, so for a browser it is the same site. The second page has another host name."""
    if stage is not None:
        pytest.skip("the services of this stage have no gate")
    with pages() as port:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://{request.param}:{port}/")
        yield page
        context.close()


def world(cloud: Cloud) -> Any:
    """Return everything that an attack could change."""
    buckets = [cloud.env[f"{use}_BUCKET"] for use in ("LANDING", "ERRORED", "BACKUP")]
    return (
        [cloud.table(name) for name in ("departments", "jobs", "hired_employees", "tokens")],
        cloud.sql("SELECT id, status FROM loads ORDER BY id"),
        cloud.functions(),
        [[version["Key"] for version in versions(cloud, bucket)] for bucket in buckets],
    )


def versions(cloud: Cloud, bucket: str) -> list[Any]:
    listed = cloud.s3.list_object_versions(Bucket=bucket)
    return [version for version in listed.get("Versions", ()) if not version["Key"].startswith("backups/")]


def attacks(cloud: Cloud) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the requests of the attacks as (URL, options of `fetch`). The keys say what an attack tries to do."""
    aws, api, stage = cloud.env["AWS_ENDPOINT_URL"], cloud.env["API_URL"], cloud.commands.stage
    named = f"{APP}-{stage}"

    def forged(service: str, **more: Any) -> dict[str, Any]:
        signed = {"Authorization": FORGED.format(service=service), "X-Amz-Date": "20261124T000000Z"}
        return {**more, "headers": {**signed, **more.get("headers", {})}}

    new = {"FunctionName": "mine", "Runtime": "python3.11", "Handler": "x.y", "Role": "arn:aws:iam::0:role/x"}
    mint = json.dumps({"action": "create", "role": "operator"})
    functions = f"{aws}/2015-03-31/functions"
    target = {"X-Amz-Target": "AmazonSQS.ListQueues", "Content-Type": "application/x-amz-json-1.0"}
    return {
        "list functions": (f"{functions}/", forged("lambda")),
        "read DATABASE_URL": (f"{functions}/{named}/configuration", forged("lambda")),
        "mint a token": (f"{functions}/{named}-tokens/invocations", forged("lambda", method="POST", body=mint)),
        "mint one unsigned": (f"{functions}/{named}-tokens/invocations", {"method": "POST", "body": mint}),
        "make a function": (functions, forged("lambda", method="POST", body=json.dumps(new))),
        "queues": (f"{aws}/", forged("sqs", method="POST", body="{}", headers=target)),
        "read restore points": (f"{aws}/{cloud.env['BACKUP_BUCKET']}", forged("s3")),
        "drop a file": (f"{aws}/{cloud.env['LANDING_BUCKET']}/jobs.csv", forged("s3", method="PUT", body="9,Evil\n")),
        "drop one unsigned": (f"{aws}/{cloud.env['LANDING_BUCKET']}/jobs.csv", {"method": "PUT", "body": "9,Evil\n"}),
        "post a form": (f"{aws}/{cloud.env['LANDING_BUCKET']}", {"method": "POST", "body": "key=jobs.csv"}),
        "wipe all": (f"{aws}/_ministack/reset", {"method": "POST"}),
        "wipe all, with scripts": (f"{aws}/_ministack/reset?init=1", {"method": "POST"}),
        "settings": (f"{aws}/_ministack/config", {"method": "POST", "body": "{}"}),
        "code": (f"{aws}/_ministack/lambda-code/{named}", {}),
        "messages": (f"{aws}/_aws/sqs/messages", {}),
        "health": (f"{aws}/_localstack/health", {}),
        "read the history": (f"{api}/loads", {}),
        "read a report": (f"{api}/department/hires/years", {}),
        "write a row": (f"{api}/job/upload", {"method": "POST", "body": '{"job": "Evil"}'}),
        "write one as JSON": (
            f"{api}/job/upload",
            {"method": "POST", "body": '{"job": "Evil"}', "headers": {"Content-Type": "application/json"}},
        ),
        "order a restore": (f"{api}/job/backup/restore", {"method": "POST"}),
        "the other address": (
            f"{aws}/restapis/{urlsplit(api).path.split('/')[3]}/api/_user_request_/job/backup/restore",
            {"method": "POST"},
        ),
    }


def test_an_attack_page_reads_and_changes_nothing(cloud: Cloud, attacker: Page) -> None:
    cloud.upload("jobs_kept.csv", "1,Kept\n")
    cloud.backup()
    before = world(cloud)
    for goal, attack in attacks(cloud).items():
        outcomes = attacker.evaluate(SEND, list(attack))
        assert outcomes in (["refused", "unseen"], ["refused", "refused"]), f"{goal}: {outcomes}"
        assert world(cloud) == before, goal


def test_a_form_on_an_attack_page_changes_nothing(cloud: Cloud, attacker: Page) -> None:
    """A browser sends a form without a preflight request. The API refuses the form, because its Content-Type is not
    that of JSON."""
    before = world(cloud)
    api = cloud.env["API_URL"]
    for url in (f"{api}/job/upload", f"{api}/job/backup/restore", f"{cloud.env['AWS_ENDPOINT_URL']}/_ministack/reset"):
        with attacker.expect_response(url) as answered:
            attacker.evaluate(FORM, [url, {'{"job": "Evil", "x": "': '"}'}])
        assert answered.value.status in (403, 404)
        assert world(cloud) == before


def test_a_link_to_the_dashboard_works(cloud: Cloud, attacker: Page) -> None:
    attacker.evaluate("url => { location.href = url; }", cloud.env["API_URL"])
    expect(attacker).to_have_title(re.compile("Hireflow"))
    attacker.locator('#panel[aria-busy="false"]').wait_for(state="attached")


def test_a_request_with_a_foreign_host_name_is_refused(cloud: Cloud, stage: str | None) -> None:
    """This attack is called DNS rebinding. An attacker's host name resolves to this machine, so for the browser the
    page and the stage have the same origin. Only the header Host shows the attack."""
    if stage is not None:
        pytest.skip("the services of this stage have no gate")
    at = urlsplit(cloud.env["API_URL"])
    before = world(cloud)
    for path in (f"{at.path}/loads", f"{at.path}/", f"/{cloud.env['LANDING_BUCKET']}", "/_ministack/ready"):
        for host in ("evil.example", f"evil.example:{at.port}", "127.0.0.1.evil.example"):
            connection = HTTPConnection(at.hostname or "", at.port or 0, timeout=30)
            connection.request("GET", path, headers={"Host": host, "Origin": f"http://{host}"})
            assert connection.getresponse().status == 421
            connection.close()
    assert world(cloud) == before
