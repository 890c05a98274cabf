"""Tests that the dashboard may send files to the address of every upload form. The address differs between the regions
and the partitions of AWS."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import botocore.session
import pytest
from chalice.test import Client

from app import app
from chalicelib.cloud import form_origins
from chalicelib.services import services
from tests.unit.core.test_settings import COMPLETE

_AWS = botocore.session.get_session()
REGIONS = [
    region
    for partition in _AWS.get_available_partitions()
    for region in _AWS.get_available_regions("s3", partition, allow_non_regional=False)
]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    for name, value in {**COMPLETE, **keys}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "S3_PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")  # functions have no such file
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    yield
    services.cache_clear()


def origins() -> tuple[str, list[str]]:
    """Return the origin of an upload form, and the sources to which the page of the dashboard may send requests."""
    services.cache_clear()
    with Client(app) as client:
        headers = client.http.get("/").headers
    policy = dict(each.strip().split(" ", 1) for each in headers["Content-Security-Policy"].split(";"))
    form = urlsplit(services().storage.landing.presigned_post("uploads/1/jobs.csv", size=9, seconds=60).url)
    return f"{form.scheme}://{form.netloc}", policy["connect-src"].split(" ")


def test_the_regions_of_all_partitions_are_tested() -> None:
    assert {"us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"} < set(REGIONS)
    assert len(REGIONS) > 30


@pytest.mark.parametrize("region", REGIONS)
def test_the_page_may_send_files_to_the_address_of_the_form(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, region)
    form, allowed = origins()
    assert allowed == ["'self'", form]
    assert form_origins.computed("landing", os.environ) == form  # no page waits for the import of boto3
    assert form.startswith("https://landing.s3.")
    assert region in form or region == "us-east-1"


@pytest.mark.parametrize(
    ("bucket", "variables"),
    [
        ("a.bucket.with.dots", {}),
        ("landing", {"AWS_USE_FIPS_ENDPOINT": "true"}),
        ("landing", {"AWS_USE_DUALSTACK_ENDPOINT": "true"}),
        ("landing", {"AWS_DEFAULT_REGION": "aws-global"}),
        ("landing", {"AWS_DEFAULT_REGION": "fips-us-east-2"}),
        ("landing", {"AWS_DEFAULT_REGION": "eu-west-9"}),
        ("landing", {"AWS_ENDPOINT_URL": "https://Proxy.example.com:8443/s3/"}),
        ("landing", {"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "http://b"}),
        ("landing", {"AWS_ENDPOINT_URL": "http://a", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}),
        ("landing", {"AWS_CONFIG_FILE": "config"}),
    ],
)
def test_the_page_may_send_files_to_an_unusual_address(
    bucket: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config").write_text("[default]\nendpoint_url = https://configured.example.com\n")
    for name, value in {"LANDING_BUCKET": bucket, "AWS_DEFAULT_REGION": "us-east-2", **variables}.items():
        monkeypatch.setenv(name, value)
    form, allowed = origins()
    assert allowed == ["'self'", form]


@pytest.mark.parametrize("public", ["", "http://localhost:4566/"])
def test_the_page_may_send_files_to_an_emulator(public: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:24000")
    monkeypatch.setenv("S3_PUBLIC_URL", public)
    form, allowed = origins()
    assert form == (public or "http://127.0.0.1:24000").rstrip("/")
    assert allowed == ["'self'", form]
