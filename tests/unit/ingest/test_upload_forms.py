"""Tests which files may be announced, which keys they get in the landing bucket, and which rights an upload form
gives."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.api.openapi.json_schema import ref
from chalicelib.cloud.storage import Storage
from chalicelib.core import json_patterns
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import Unprocessable
from chalicelib.ingest.events import created_objects
from chalicelib.ingest.file_names import ENDINGS, FileName
from chalicelib.ingest.upload_forms import MAX_NAME, MAX_SIZE, checked
from tests.openapi import described

HARMLESS = ["", "-", "_", ".", "..", " ", "?", "#", "%2F", "+", "$", "{filename}", "é", "\U0001f600", ".csv", ".avro"]
HOSTILE = ["/", "\\", "\0", "\n", "\x7f", "\x85", "\ud800", "${filename}"]
PARTS = st.sampled_from([*HARMLESS, *HOSTILE, *DATASETS, *(d.route for d in DATASETS.values())]) | st.text(max_size=5)
NAMES = st.builds(
    "{}{}".format, st.lists(PARTS, max_size=6).map("".join), st.sampled_from(["", ".csv", ".csv.gz", ".AVRO", ".xlsx"])
)
SHARES = st.builds(
    "{}{}%".format, st.floats(0, 200).map("{:.3f}".format) | st.integers(0, 1100), st.sampled_from(["", " "])
)
DECLARED: dict[str, st.SearchStrategy[Any]] = {
    "encoding": st.sampled_from(["utf-8", "windows-1252", "shift_jis"]),
    "delimiter": st.sampled_from(["comma", "semicolon", "tab", "pipe", ";"]),
    "dates": st.sampled_from(["iso", "dmy", "mdy", "ymd"]),
    "corrects": st.integers(-1, 10**18) | st.from_regex(r"[0-9]{0,3}", fullmatch=True),
    "max-rejected": SHARES | st.integers(-1, 10**18).flatmap(lambda count: st.sampled_from([count, str(count)])),
}
BOUNDS = st.integers(MAX_NAME - 5, MAX_NAME + 1).map(lambda length: "\U0001f600" * (length - 4) + ".csv")


def refused(body: Any) -> dict[str | None, str]:
    """Return the reasons of the refusal, by field. The result is empty if the order is valid."""
    try:
        checked(body)
    except Unprocessable as error:
        return {fault["field"]: fault["reason"] for fault in error.errors}
    return {}


@given(st.sampled_from(list(DATASETS.values())), NAMES | BOUNDS, st.integers(1, 2**63 - 1))
def test_the_key_of_an_upload_belongs_to_the_ordered_dataset(dataset: Dataset, name: str, load_id: int) -> None:
    body = {"dataset": dataset.name, "filename": name, "size": 1}
    if refused(body):
        return
    base_name = checked(body).base_name
    assert base_name in (name, f"{dataset.name}-{name}")
    key = f"uploads/{load_id}/{base_name}"
    named = FileName.of(key)
    assert named is not None
    kind = next((kind for kind in ("avro", "xlsx") if name.lower().endswith(f".{kind}")), "csv")
    assert (named.dataset, named.kind, checked(body).kind) == (dataset, kind, kind)
    assert (named.ending == ".csv.gz") == name.endswith(".gz")
    assert len(key.encode()) <= 1024
    assert re.fullmatch(r"[^/\\\x00-\x1f\x7f-\x9f]+", base_name)
    assert "${filename}" not in key, "S3 would replace ${filename} with another name"
    item = {"key": quote_plus(key), "versionId": "v", "eTag": "e"}
    [created] = created_objects({"Records": [{"s3": {"bucket": {"name": "landing"}, "object": item}}]})
    assert created.key == key


@pytest.mark.parametrize(
    ("dataset", "name", "base_name"),
    [
        ("jobs", "jobs.csv", "jobs.csv"),
        ("jobs", "jobs_of_2021.csv.gz", "jobs_of_2021.csv.gz"),
        ("jobs", "new.csv", "jobs-new.csv"),
        ("jobs", "Jobs.csv", "Jobs.csv"),
        ("jobs", "hired_employees.csv", "jobs-hired_employees.csv"),
        ("departments", "jobs.csv", "departments-jobs.csv"),
        ("hired_employees", " Ünïcode ${x} (1)&=%25.csv", "hired_employees- Ünïcode ${x} (1)&=%25.csv"),
        ("jobs", "x" * (MAX_NAME - 4) + ".csv", "jobs-" + "x" * (MAX_NAME - 4) + ".csv"),
    ],
)
def test_a_name_of_another_dataset_gets_the_ordered_dataset_as_its_prefix(
    dataset: str, name: str, base_name: str
) -> None:
    assert checked({"dataset": dataset, "filename": name, "size": MAX_SIZE}).base_name == base_name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a/jobs.csv", "without folders"),
        ("..\\jobs.csv", "without folders"),
        ("/", "without folders"),
        ("jobs\n.csv", "control characters"),
        ("jobs.csv\n", "control characters"),
        ("\0.csv", "control characters"),
        ("jobs\x85.csv", "control characters"),
        ("\ud800.csv", "surrogate"),
        ("jobs.xls", "must end in one of .csv, "),
        ("jobs.json", "must end in one of .csv, "),
        ("jobs.gz", "must end in one of .csv, "),
        (".csv", "after at least one other character"),
        (".csv.gz", "after at least one other character"),
        ("", "must end in one of"),
        ("x" * (MAX_NAME - 3) + ".csv", "longer than 200 characters"),
        ("jobs-${filename}.csv", "S3 would replace"),
        (None, "as a string"),
        (5, "as a string"),
        (["jobs.csv"], "as a string"),
    ],
)
def test_an_invalid_name_is_refused(name: Any, reason: str) -> None:
    faults = refused({"dataset": "jobs", "filename": name, "size": 1})
    assert list(faults) == ["filename"]
    assert reason in faults["filename"]


@pytest.mark.parametrize("size", [0, 1, 1.0, MAX_SIZE])
def test_a_file_may_be_empty(size: int) -> None:
    """The size 0 is allowed, because the load of an empty file succeeds, and so does its check."""
    assert checked({"dataset": "jobs", "filename": "jobs.csv", "size": size}).size == size


@pytest.mark.parametrize("size", [-1, MAX_SIZE + 1, 1.5, "1", True, None, [1], 10**400])
def test_an_invalid_size_is_refused(size: Any) -> None:
    faults = refused({"dataset": "jobs", "filename": "jobs.csv", "size": size})
    most = "size must be a whole number of bytes from 0 to 5368709120"
    larger = "; send a larger file to the landing bucket in parts, for example with `aws s3 cp`"
    assert faults == {"size": most + (larger if type(size) is int and size > 0 else "")}


def test_a_stage_may_have_a_smaller_limit() -> None:
    order = {"dataset": "jobs", "filename": "jobs.csv", "size": 1000}
    assert checked(order, 1000).size == 1000
    with pytest.raises(Unprocessable) as error:
        checked(order, 999)
    assert "from 0 to 999; send a larger file to the landing bucket in parts" in str(error.value.errors)


@pytest.mark.parametrize("dataset", [None, "", "job", "Jobs", "salaries", 1, ["jobs"], {"jobs": 1}])
def test_an_unknown_dataset_is_refused(dataset: Any) -> None:
    faults = refused({"dataset": dataset, "filename": "jobs.csv", "size": 1})
    assert faults == {"dataset": f"dataset must be one of {', '.join(DATASETS)}"}


def test_all_faults_are_named_at_once() -> None:
    assert list(refused({})) == ["dataset", "filename", "size"]
    assert list(refused({"more": 1, "filename": "x"})) == ["dataset", "filename", "size", None]
    assert list(refused([])) == list(refused("text")) == list(refused(None)) == [None]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "dataset": st.sampled_from([*DATASETS, "job"]) | st.none(),
            "filename": NAMES | BOUNDS | st.from_regex(json_patterns.file_name(ENDINGS)) | st.integers(),
            "size": st.sampled_from([0, 1, MAX_SIZE, MAX_SIZE + 1]) | st.integers() | st.floats() | st.booleans(),
            "more": st.just(1),
            **{name: DECLARED[name] | st.sampled_from(["", "x", None, 1.5, []]) for name in DECLARED},
        },
    )
)
def test_the_schema_accepts_the_same_orders_as_the_code(body: dict[str, Any]) -> None:
    name = body.get("filename")
    if isinstance(name, str) and ("${filename}" in name or name.endswith("\n") or re.search("[\ud800-\udfff]", name)):
        # The pattern of the schema cannot exclude ${filename} and surrogates. In Python, its `$` also matches before a
        # line break at the end.
        return
    assert bool(refused(body)) == bool(described().faults(ref("UploadOrder"), body))


def test_declarations_are_read_and_fixed_in_the_form() -> None:
    body = {"dataset": "jobs", "filename": "x.txt", "size": 1, "encoding": "cp1252", "delimiter": "tab", "dates": "dmy"}
    expected = {"encoding": "windows-1252", "delimiter": "tab", "dates": "dmy"}
    assert checked(body).declared.given() == expected
    assert checked({**body, "max-rejected": 5}).declared.given() == {**expected, "max-rejected": "5"}
    assert checked({**body, "max-rejected": "2.50 %"}).declared.given() == {**expected, "max-rejected": "2.5%"}
    assert checked({**body, "corrects": 7}).declared.given() == {**expected, "corrects": "7"}
    form = storage("http://127.0.0.1:9").landing.presigned_post("k", size=1, seconds=60, metadata=expected)
    fixed = {f"x-amz-meta-{name}": value for name, value in expected.items()}
    assert fixed.items() <= form.fields.items()
    conditions = json.loads(base64.b64decode(form.fields["policy"]))["conditions"]
    assert [{name: value} for name, value in fixed.items()] == [
        c for c in conditions if str(c).startswith("{'x-amz-meta")
    ]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("encoding", "klingon", "encoding 'klingon' is not known: write utf-8, "),
        ("delimiter", ";", "delimiter ';' is not known: write one of comma, semicolon, tab, pipe"),
        ("dates", "ymd", "dates 'ymd' is not known: write dmy for 27/07/2021"),
        ("max-rejected", "101%", "max-rejected '101%' is not known: write a count of rows, or a share such as 5%"),
        ("max-rejected", 1.5, "max-rejected must be a string"),
        ("encoding", None, "encoding must be a string"),
        ("corrects", "0", "corrects '0' is not known: write the id of the load whose rejects the file corrects"),
    ],
)
def test_an_unknown_declaration_is_refused(name: str, value: Any, reason: str) -> None:
    [(field, found)] = refused({"dataset": "jobs", "filename": "x.csv", "size": 1, name: value}).items()
    assert field == name
    assert found.startswith(reason)


# --- the form and the URL for S3


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "AKIA", "SECRET_ACCESS_KEY": "secret", "SESSION_TOKEN": "session"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://functions-only.internal:4566")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it may have the credentials of an earlier test


def storage(public_url: str = "") -> Storage:
    return Storage("the-landing", "the-errored", "the-backup", public_url=public_url)


def test_a_form_is_limited_to_one_key_a_size_and_a_time() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    form = storage("http://127.0.0.1:9").landing.presigned_post("uploads/7/jobs-é.csv", size=12, seconds=3600)
    policy = json.loads(base64.b64decode(form.fields["policy"]))
    expires = datetime.strptime(policy["expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert timedelta(hours=1) <= expires - before <= timedelta(hours=1, seconds=10)
    fixed = {name: value for item in policy["conditions"] if isinstance(item, dict) for name, value in item.items()}
    others = [item for item in policy["conditions"] if not isinstance(item, dict)]
    assert others == [["content-length-range", 0, 12]]
    signing = {name: form.fields[name] for name in form.fields if name not in ("policy", "x-amz-signature")}
    assert fixed == {"bucket": "the-landing", **signing}
    assert fixed["key"] == "uploads/7/jobs-é.csv"
    assert fixed["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert fixed["x-amz-security-token"] == "session"


@pytest.mark.parametrize("public_url", ["http://127.0.0.1:9", "http://localhost:4566"])
def test_clients_get_the_public_url_of_s3(public_url: str) -> None:
    buckets = storage(public_url)
    assert buckets.landing.presigned_post("k", size=1, seconds=60).url == f"{public_url}/the-landing"
    assert buckets.errored.presigned_get("k", seconds=60).startswith(f"{public_url}/the-errored/k?")


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_on_aws_clients_get_the_url_of_the_region(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    """The global URL of S3 would redirect the request to the region, but a browser does not follow the redirect of a
    form."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    place = "" if region == "us-east-1" else f".{region}"
    landing = storage().landing
    form, url = landing.presigned_post("k", size=1, seconds=60), landing.presigned_get("k", seconds=60)
    assert form.url == f"https://the-landing.s3{place}.amazonaws.com/"
    assert url.startswith(f"https://the-landing.s3{place}.amazonaws.com/k?")
    assert "x-amz-signature" in form.fields, "the form does not use signature version 4, which every region accepts"
    assert "X-Amz-Signature" in url


def test_a_url_is_limited_to_one_object_and_a_time() -> None:
    url = urlsplit(storage("http://127.0.0.1:9").errored.presigned_get("jobs/a b.ndjson", seconds=600))
    assert url.path == "/the-errored/jobs/a%20b.ndjson"
    query = parse_qs(url.query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["600"]
    assert query["X-Amz-SignedHeaders"] == ["host"]
