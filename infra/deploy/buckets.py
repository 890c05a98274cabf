"""Creates the three buckets of a stage, private and encrypted. The landing and the backup bucket are versioned."""

import json
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy.target import Target

_PRIVATE = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
_ENCRYPTED = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
_KEPT_DAYS = 30  # days in which an overwritten or deleted backup can be restored


def make_buckets(target: Target) -> None:
    """Create missing buckets, and configure all of them."""
    s3 = target.client("s3")
    for bucket in target.buckets:
        if not _exists(s3, bucket):
            region = target.aws.get("AWS_DEFAULT_REGION")
            place: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}}
            s3.create_bucket(Bucket=bucket, **({} if region in (None, "us-east-1") else place))
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=_PRIVATE)
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=_ENCRYPTED)
        # With this policy, an endpoint without TLS, such as the one on this machine, would refuse all requests.
        if not target.aws.get("AWS_ENDPOINT_URL", "").startswith("http://"):
            s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(tls_only(bucket, target.partition)))
        rules = lifecycle(versions_expire=bucket == target.backup)
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules)
    # In the landing bucket, versions distinguish a new object under an old key from an event that was delivered twice.
    # In the backup bucket, old versions survive if somebody misuses a function's permissions to delete or overwrite.
    for bucket in (target.landing, target.backup):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def admit_forms(target: Target, origins: Sequence[str]) -> None:
    """Allow browsers to send files to the landing bucket only from pages of these origins (scheme://host[:port])."""
    # The pages show upload progress, so browsers send a preflight request. Forms need only the header Content-Type.
    rule: Any = {
        "ID": "forms",
        "AllowedOrigins": list(origins),
        "AllowedMethods": ["POST"],
        "AllowedHeaders": ["Content-Type"],
        "MaxAgeSeconds": 3600,
    }
    target.client("s3").put_bucket_cors(Bucket=target.landing, CORSConfiguration={"CORSRules": [rule]})


def origins_of_forms(target: Target) -> list[str]:
    """Return the origins whose pages may send files. Raises ClientError if the bucket has no CORS rules."""
    rules = target.client("s3").get_bucket_cors(Bucket=target.landing)["CORSRules"]
    return [origin for rule in rules for origin in rule["AllowedOrigins"]]


def tls_only(bucket: str, partition: str = "aws") -> dict[str, Any]:
    """Return a bucket policy that refuses requests without TLS."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OnlyTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:{partition}:s3:::{bucket}", f"arn:{partition}:s3:::{bucket}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def lifecycle(*, versions_expire: bool) -> dict[str, Any]:
    """Return lifecycle rules. Incomplete multipart uploads expire after a day.

    With `versions_expire`, old versions expire after _KEPT_DAYS.
    """
    rules: list[dict[str, Any]] = [
        {"ID": "abandoned-uploads", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}
    ]
    if versions_expire:
        rules += [
            {"ID": "old-versions", "NoncurrentVersionExpiration": {"NoncurrentDays": _KEPT_DAYS}},
            {"ID": "delete-markers", "Expiration": {"ExpiredObjectDeleteMarker": True}},
        ]
    return {"Rules": [{"Status": "Enabled", "Filter": {"Prefix": ""}, **rule} for rule in rules]}


def _exists(s3: Any, bucket: str) -> bool:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise
        return False
    return True
