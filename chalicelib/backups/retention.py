"""Which restore points go, and how: the manifest first, so that none is ever half there.

How long restore points live is a setting, BACKUP_RETENTION_DAYS (see `core.settings`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from chalicelib.backups import manifest
from chalicelib.cloud.buckets import Bucket
from chalicelib.core.restore_point_names import instant

LEFT_OVER = timedelta(days=1)  # no backup runs that long: a folder still without a manifest is left over
AT_ONCE = 500  # restore points deleted in one run, so that a shorter retention cannot outlast the function
_SOUGHT = timedelta(days=3)  # leftovers are looked for back to here; older ones go with their retention


def expire_points(bucket: Bucket, names: Sequence[str], keep: str, now: datetime, retention: timedelta) -> list[str]:
    """Delete restore points older than `retention`, and leftovers of crashed backups older than a day.

    `names` are the existing folders, `keep` the newest complete one, which stays whatever its age.
    Returns the deleted names, oldest first.
    """
    ages = {name: now - instant(name) for name in sorted(names) if name != keep}
    expired = [name for name, age in ages.items() if age > retention]
    sought = [name for name, age in ages.items() if LEFT_OVER < age <= min(_SOUGHT, retention)]
    deleted = sorted(expired + _without_manifest(bucket, sought))[:AT_ONCE]
    for name in deleted:
        delete_point(bucket, name)
    return deleted


def delete_point(bucket: Bucket, name: str) -> None:
    """Delete a restore point, or what there is of one."""
    bucket.delete(manifest.manifest_key(name))
    bucket.delete(*[stored.key for stored in bucket.objects(f"{manifest.ROOT}{name}/")])


def _without_manifest(bucket: Bucket, names: Sequence[str]) -> list[str]:
    """Listing the days of these names takes two or three requests a run."""
    days = sorted({name[:8] for name in names})
    keys = {stored.key for day in days for stored in bucket.objects(f"{manifest.ROOT}{day}")}
    return [name for name in names if manifest.manifest_key(name) not in keys]
