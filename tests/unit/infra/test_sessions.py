"""Tests that AWS sessions share only the parsed models of botocore, but no credentials or regions."""

from infra.sessions import core, session


def test_models_are_parsed_once() -> None:
    assert core().get_component("data_loader") is core().get_component("data_loader")


def test_credentials_and_regions_are_not_shared() -> None:
    first = session(aws_access_key_id="a", aws_secret_access_key="x", region_name="eu-west-1")
    other = session(aws_access_key_id="b", aws_secret_access_key="y", region_name="us-east-1")
    both = [each.get_credentials() for each in (first, other)]
    assert [credentials and credentials.access_key for credentials in both] == ["a", "b"]
    assert [s.client("s3").meta.region_name for s in (first, other)] == ["eu-west-1", "us-east-1"]
    assert session().client("sts", region_name="us-east-1").meta.events is not first.client("s3").meta.events
