"""Tests that the embedded AWS applies the lifecycle rules of a stage's buckets."""

from datetime import UTC, datetime, timedelta

import pytest

from infra.deploy.buckets import lifecycle
from infra.local.lifecycle import Entry, apply, expired
from tests.integration.s3_fixtures import BACKUP, LANDING, S3

NOW = datetime.now(UTC)
MONTH = timedelta(days=30)


@pytest.fixture
def client(s3: S3) -> S3:
    s3.client.put_bucket_versioning(Bucket=BACKUP, VersioningConfiguration={"Status": "Enabled"})
    s3.client.put_bucket_versioning(Bucket=LANDING, VersioningConfiguration={"Status": "Enabled"})
    for bucket, versions_expire in ((BACKUP, True), (LANDING, False)):
        rules = lifecycle(versions_expire=versions_expire)
        s3.client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules)  # type: ignore[arg-type]
    return s3


def bodies(s3: S3, bucket: str = BACKUP) -> list[str]:
    """Return the keys of all versions and delete markers."""
    listed = s3.client.list_object_versions(Bucket=bucket)
    return sorted([v["Key"] for v in listed.get("Versions", ())] + [v["Key"] for v in listed.get("DeleteMarkers", ())])


def test_old_versions_expire_with_their_delete_markers_and_current_objects_stay(client: S3) -> None:
    for bucket in (BACKUP, LANDING):
        for key in ("a", "a", "b"):
            client.client.put_object(Bucket=bucket, Key=key, Body=b"x")
        client.client.delete_object(Bucket=bucket, Key="b")
    assert apply(client.client, NOW + MONTH - timedelta(hours=1)) == 0
    assert apply(client.client, NOW + MONTH + timedelta(hours=1)) == 3
    assert bodies(client) == ["a"]
    assert bodies(client, LANDING) == ["a", "a", "b", "b"], "the files that people sent stay"


def test_unfinished_uploads_are_aborted_after_a_day(client: S3) -> None:
    client.client.create_multipart_upload(Bucket=LANDING, Key="a")
    [upload] = client.uploads(LANDING)
    apply(client.client, upload["Initiated"] + timedelta(hours=23))
    assert len(client.uploads(LANDING)) == 1
    apply(client.client, upload["Initiated"] + timedelta(hours=25))
    assert client.uploads(LANDING) == []


def test_a_version_expires_by_the_time_at_which_it_was_replaced() -> None:
    def entry(days: int, *, is_marker: bool = False) -> Entry:
        return Entry("a", str(days), NOW - timedelta(days=days), days in (1, 29, 31), is_marker)

    entries = [entry(1), entry(20), entry(40), entry(50)]
    assert [found.version_id for found in expired(entries, NOW - MONTH, markers=True)] == ["50"]
    entries = [entry(31, is_marker=True), entry(60)]
    assert [found.version_id for found in expired(entries, NOW - MONTH, markers=True)] == ["60", "31"]
    assert [found.version_id for found in expired(entries, NOW - MONTH, markers=False)] == ["60"]
    entries = [entry(29, is_marker=True), entry(60)]
    assert list(expired(entries, NOW - MONTH, markers=True)) == []
