"""Tests uploads straight to S3: a client, such as a browser or curl, sends a file with a form from `POST /uploads`."""

import base64
import gzip
import json
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from chalicelib.ingest.upload_forms import MAX_SIZE
from tests.e2e.cloud import FINAL, PATIENCE, Cloud, Row, counts

ELSEWHERE = "https://elsewhere.example"


@dataclass
class Sent:
    status: int
    body: str
    admits: str | None  # pages of this origin may read the response
    admitted_headers: str


def order(cloud: Cloud, filename: str, size: int = 10_000, dataset: str = "departments") -> Row:
    response = cloud.post("/uploads", {"dataset": dataset, "filename": filename, "size": size})
    assert response.status == 201, response.body
    return dict(response.body)


def send(form: Row, body: bytes, origin: str = "", **changed: str) -> Sent:
    """Send the form with POST. The file is the last part of the body."""
    boundary = uuid.uuid4().hex
    name = 'Content-Disposition: form-data; name="{}"{}\r\n\r\n'
    fields = {**form["fields"], **changed}
    parts = [(name.format(field, "") + value).encode() for field, value in fields.items()]
    parts.append(name.format("file", '; filename="x.csv"\r\nContent-Type: text/csv').encode() + body)
    data = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts) + f"--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", **({"Origin": origin} if origin else {})}
    return _response(urllib.request.Request(form["url"], data, headers, method="POST"))


def ask(form: Row, origin: str, method: str) -> Sent:
    """Send a preflight request. A browser sends this request to ask whether a page of `origin` may send its own
    request."""
    headers = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "content-type"}
    return _response(urllib.request.Request(form["url"], headers={"Origin": origin, **headers}, method="OPTIONS"))


def _response(request: urllib.request.Request) -> Sent:
    try:
        response = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        prefix = "Access-Control-Allow-"
        admits, headers = (response.headers.get(prefix + name) for name in ("Origin", "Headers"))
        return Sent(response.status, response.read().decode(), admits, headers or "")


def origin_of_pages(cloud: Cloud) -> str:
    api = urlsplit(cloud.env["API_URL"])
    return f"{api.scheme}://{api.netloc}"


def stored(cloud: Cloud, form: Row) -> list[Any]:
    """Return the object versions that were sent to the folder of a form. Older objects are left out: another test
    deletes the database, so an earlier load may have had the same id."""
    ordered = datetime.fromisoformat(cloud.get(form["status_url"]).body["created_at"]).replace(microsecond=0)
    listed = cloud.s3.list_object_versions(Bucket=cloud.env["LANDING_BUCKET"], Prefix=f"uploads/{form['load_id']}/")
    return [version for version in listed.get("Versions", ()) if version["LastModified"] >= ordered]


@pytest.mark.parametrize("filename", ["staff.csv", "departments of é & ü (1)+%25.csv", "staff.csv.gz"])
def test_the_load_that_waits_for_a_file_loads_it(cloud: Cloud, filename: str) -> None:
    form = order(cloud, filename)
    assert cloud.get(form["status_url"]).body["status"] == "queued"
    body = b"1,Sales\n,Nameless\n"
    assert send(form, gzip.compress(body) if filename.endswith(".gz") else body).status == 204
    load = cloud.followed(form["status_url"])
    assert (load["status"], load["attempts"]) == ("succeeded", 1)
    assert counts(load) == (2, 1, 0, 0, 0, 1)
    assert load["source"] == f"s3://{cloud.env['LANDING_BUCKET']}/{form['key']}"
    [reject] = cloud.rejects(load)
    assert (reject["source"], reject["raw"]) == (load["source"], ",Nameless")
    assert cloud.table("departments") == [(1, "Sales")]


def test_two_files_with_the_same_form_are_two_loads(cloud: Cloud) -> None:
    form = order(cloud, "staff.csv")
    assert send(form, b"1,Sales\n").status == 204
    first = cloud.followed(form["status_url"])
    assert send(form, b"1,More sales\n2,Ops\n").status == 204
    second = cloud.ended(first["source"], form["load_id"])
    assert counts(second) == (2, 1, 1, 0, 0, 0)
    assert cloud.load(form["load_id"]) == first


def test_a_form_accepts_a_file_of_its_size_but_no_larger_file(cloud: Cloud) -> None:
    form = order(cloud, "staff.csv", size=8)
    for body in (b"1,Sales\n\n", b"x" * 100_000):
        refused = send(form, body)
        assert refused.status in (400, 403), body
        assert "EntityTooLarge" in refused.body
    assert stored(cloud, form) == []
    assert cloud.get(form["status_url"]).body["status"] == "queued"
    assert send(form, b"1,Sales\n").status == 204
    assert counts(cloud.followed(form["status_url"])) == (1, 1, 0, 0, 0, 0)


def test_an_empty_file_is_a_load_without_rows(cloud: Cloud) -> None:
    checked = cloud.send("POST", "/uploads/check?dataset=departments", b"", {"Content-Type": "text/csv"})
    assert (checked.status, counts(checked.body)) == (200, (0,) * 6)
    form = order(cloud, "staff.csv", size=0)
    assert send(form, b"1").status in (400, 403)
    assert send(form, b"").status == 204
    load = cloud.followed(form["status_url"])
    assert (load["status"], counts(load)) == ("succeeded", (0,) * 6)


def test_a_form_with_another_key_field_or_policy_is_refused(cloud: Cloud, stage: str | None) -> None:
    form = order(cloud, "staff.csv", size=8)
    policy = json.loads(base64.b64decode(form["fields"]["policy"]))
    sizes = [condition for condition in policy["conditions"] if isinstance(condition, list)]
    assert sizes == [["content-length-range", 0, 8]]
    sizes[0][2] = MAX_SIZE
    forged = base64.b64encode(json.dumps(policy).encode()).decode()
    keys = [{"key": f"uploads/{form['load_id']}/departments-other.csv"}, {"key": "restores/1/departments.avro"}]
    # Not every emulator compares the form with its policy.
    ours = [{"acl": "public-read"}, {"policy": forged}, {"x-amz-signature": "0" * 64}]
    for changed in [*keys, *(ours if stage is None else ())]:
        assert send(form, b"1,Sales\n", **changed).status in (400, 403), changed
    assert stored(cloud, form) == []
    assert send(form, b"1,Sales\n").status == 204


def test_only_pages_of_the_api_may_send_files(cloud: Cloud) -> None:
    form, ours = order(cloud, "staff.csv"), origin_of_pages(cloud)
    admitted = ask(form, ours, "POST")
    assert (admitted.status, admitted.admits) == (200, ours)
    assert "content-type" in admitted.admitted_headers.lower()
    for origin, method in ((ELSEWHERE, "POST"), (f"{ours}0", "POST"), (ours, "PUT"), (ours, "DELETE"), (ours, "GET")):
        refused = ask(form, origin, method)
        assert (refused.status, refused.admits) == (403, None), (origin, method)
    sent = send(form, b"1,Sales\n", origin=ours)
    assert (sent.status, sent.admits) == (204, ours)
    assert send(form, b"1,Sales\n", origin=ELSEWHERE).admits is None
    assert cloud.followed(form["status_url"])["status"] in FINAL


def test_no_page_may_send_to_another_bucket(cloud: Cloud) -> None:
    form = order(cloud, "staff.csv")
    for bucket in ("ERRORED_BUCKET", "BACKUP_BUCKET"):
        other = {**form, "url": form["url"].replace(cloud.env["LANDING_BUCKET"], cloud.env[bucket])}
        assert other["url"] != form["url"]
        assert ask(other, origin_of_pages(cloud), "POST").admits is None
        assert send(other, b"1,Sales\n").status in (400, 403)


def test_up_restores_a_deleted_cors_rule(cloud: Cloud, stage: str | None) -> None:
    if stage is not None:
        pytest.skip("this stage was not started by the tests, so they do not deploy it")
    cloud.s3.delete_bucket_cors(Bucket=cloud.env["LANDING_BUCKET"])
    cloud.commands.up()
    assert cloud.commands.state.read_env() == cloud.env
    [rule] = cloud.s3.get_bucket_cors(Bucket=cloud.env["LANDING_BUCKET"])["CORSRules"]
    page = origin_of_pages(cloud)
    assert rule["AllowedOrigins"] == [page, page.replace("127.0.0.1", "localhost")]
