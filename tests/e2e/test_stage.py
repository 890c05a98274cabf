"""Tests the buckets that a deployment creates, and the sweep of a stage."""

from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError

from tests.e2e.cloud import PATIENCE, Cloud

BUCKETS = ("LANDING_BUCKET", "ERRORED_BUCKET", "BACKUP_BUCKET")


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_is_private_and_encrypted(cloud: Cloud, bucket: str) -> None:
    name = cloud.env[bucket]
    blocked = cloud.s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert blocked == {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }
    [rule] = cloud.s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_cannot_be_read_without_credentials(cloud: Cloud, bucket: str, stage: str | None) -> None:
    if stage is not None:
        pytest.skip("not every emulator requires credentials")
    with pytest.raises(HTTPError) as refused:
        urlopen(f"{cloud.env['AWS_ENDPOINT_URL']}/{cloud.env[bucket]}?list-type=2", timeout=PATIENCE)
    with refused.value as response:
        assert response.code == 403


def test_the_landing_and_the_backup_bucket_keep_versions(cloud: Cloud) -> None:
    status = {bucket: cloud.s3.get_bucket_versioning(Bucket=cloud.env[bucket]).get("Status") for bucket in BUCKETS}
    assert status == {"LANDING_BUCKET": "Enabled", "ERRORED_BUCKET": None, "BACKUP_BUCKET": "Enabled"}


def test_old_versions_expire_only_in_the_backup_bucket(cloud: Cloud) -> None:
    rules = {
        bucket: {rule["ID"] for rule in cloud.s3.get_bucket_lifecycle_configuration(Bucket=cloud.env[bucket])["Rules"]}
        for bucket in BUCKETS
    }
    assert rules["LANDING_BUCKET"] == rules["ERRORED_BUCKET"] == {"abandoned-uploads"}
    assert rules["BACKUP_BUCKET"] == {"abandoned-uploads", "old-versions", "delete-markers"}


def test_no_policy_requires_tls_if_the_endpoint_has_none(cloud: Cloud) -> None:
    if not cloud.env["AWS_ENDPOINT_URL"].startswith("http://"):
        pytest.skip("this endpoint has TLS")
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        cloud.s3.get_bucket_policy(Bucket=cloud.env["LANDING_BUCKET"])


def test_a_deleted_file_of_a_restore_point_can_be_recovered(cloud: Cloud) -> None:
    cloud.post("/job/upload", {"job": "Kept"})
    bucket, key = cloud.env["BACKUP_BUCKET"], f"backups/{cloud.backup()}/jobs.avro"
    body = cloud.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    marker = cloud.s3.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(ClientError, match="NoSuchKey"):
        cloud.s3.get_object(Bucket=bucket, Key=key)
    cloud.s3.delete_object(Bucket=bucket, Key=key, VersionId=marker["VersionId"])
    assert cloud.s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body


def test_the_sweep_gives_up_a_lost_load_and_removes_its_rejects(cloud: Cloud) -> None:
    load = cloud.upload("jobs_swept.csv", "1,Clerk\n2,\n")
    assert cloud.rejects(load)
    cloud.sql(f"UPDATE loads SET status = 'running', attempts = 3 WHERE id = {load['id']}")
    cloud.commands.invoke("sweep")
    swept = cloud.load(load["id"])
    assert (swept["status"], swept["error"], swept["errored_key"]) == ("failed", "gave up after 3 attempts", None)
    with pytest.raises(ClientError, match="NoSuchKey"):
        cloud.reject_file(load)
