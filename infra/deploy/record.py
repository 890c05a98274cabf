"""What Chalice has deployed to a stage, kept in the stage's backup bucket.

Without its record Chalice would make a second API and forget functions that are no more. It writes the record
to a file of the machine that deploys; the next deployment may come from another one. The backup bucket is
there before everything else, private, versioned (every deployment's record can be brought back), and outlives
the stage's stacks. An SSM parameter would do, too, but for its 4 KB, which eight functions fill.
"""

from typing import Any

from botocore.exceptions import ClientError

from infra.deploy import project
from infra.deploy.target import Target

KEY = "deployments/chalice.json"
_RELEASE = "release"  # metadata: what was deployed when the record was kept


def fetch(target: Target) -> None:
    """Lay out the kept record for Chalice. A stage that has none keeps the file that may be here: of a deployment
    that did not come to its end."""
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
    """The release that was deployed last, wholly by Chalice; None where there is none."""
    found = _kept(target)
    return found["Metadata"].get(_RELEASE) if found else None


def forget(target: Target) -> None:
    """For a stage that is no more. Earlier versions of the object stay as long as other versions do."""
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
