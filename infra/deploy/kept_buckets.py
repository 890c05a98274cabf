"""Finds the buckets of a stage whose stack `storage` no longer exists.

The buckets outlive their stack, and a later deployment takes them over. The backup bucket holds the settings of the
stage, Chalice's record and the lock, so a deployment needs it also if somebody has deleted the stack.
"""

from typing import Any

from botocore.exceptions import ClientError

from infra.deploy.target import bucket_names

OUTPUTS = {"LANDING_BUCKET": "LandingBucket", "ERRORED_BUCKET": "ErroredBucket", "BACKUP_BUCKET": "BackupBucket"}


def outputs(s3: Any, stage: str, account: str) -> dict[str, str]:
    """Return what the outputs of the stack would say about its buckets, or an empty dict if there are no buckets.

    A bucket of another account does not count, because its owner could give the stage any settings.
    """
    region = s3.meta.region_name
    names = {name: f"{bucket}-{account}-{region}" for name, bucket in bucket_names(stage).items()}
    try:
        s3.head_bucket(Bucket=names["BACKUP_BUCKET"], ExpectedBucketOwner=account)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("403", "404"):
            raise
        return {}
    return {output: names[name] for name, output in OUTPUTS.items()}
