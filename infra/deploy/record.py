"""Keeps Chalice's record of the resources that it has deployed to a stage, in the stage's backup bucket.

Without this record Chalice would create a second API, and would not delete functions that the code no longer has.
Chalice writes the record to a file on the machine that deploys, but the next deployment may come from another machine.
The backup bucket exists before everything else, is private and versioned (so that old records can be restored), and
outlives the stage's stacks. An SSM parameter holds only 4 KB, too little for eight functions.
"""

from typing import Any

from botocore.exceptions import ClientError

from infra.deploy import project
from infra.deploy.target import Target

KEY = "deployments/chalice.json"
_RELEASE = "release"  # metadata of the object: the release that was deployed


def fetch(target: Target) -> None:
    """Write the kept record to the file that Chalice reads.

    If no record is kept, the file stays unchanged, because an interrupted deployment may have written it.
    """
    found = _kept(target)
    if found is not None:
        path = project.record(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(found["Body"].read())


def keep(target: Target) -> None:
    """Keep the record that Chalice has written."""
    target.client("s3").put_object(
        Bucket=target.backup,
        Key=KEY,
        Body=project.record(target).read_bytes(),
        ContentType="application/json",
        Metadata={_RELEASE: project.release(target)},
    )


def release(target: Target) -> str | None:
    """Return the last release that Chalice deployed completely, or None."""
    found = _kept(target)
    return found["Metadata"].get(_RELEASE) if found else None


def forget(target: Target) -> None:
    """Delete the record of a destroyed stage. The bucket keeps old versions of the object for some time."""
    project.record(target).unlink(missing_ok=True)
    s3 = target.client("s3")
    try:
        s3.delete_object(Bucket=target.backup, Key=KEY)
    except s3.exceptions.NoSuchBucket:
        return


def _kept(target: Target) -> dict[str, Any] | None:
    try:
        return dict(target.client("s3").get_object(Bucket=target.backup, Key=KEY))
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "NoSuchBucket", "404"):
            raise
        return None
