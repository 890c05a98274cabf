"""Deletes expired restore points. The manifest is deleted first, so that lists never show a restore point without its
files.

The setting BACKUP_RETENTION_DAYS says how long restore points are kept (see `core.settings`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from chalicelib.backups import manifest
from chalicelib.cloud.buckets import Bucket
from chalicelib.core.restore_point_names import instant

LEFT_OVER = timedelta(days=1)  # no backup takes this long: an older folder without a manifest is a leftover
# The most restore points that one run deletes. If an operator shortens the retention, very many restore points expire
# at once, and their deletion in one run could take too long.
AT_ONCE = 500
# A run looks for leftovers up to this age. Older leftovers are deleted when their retention ends.
_SOUGHT = timedelta(days=3)


def expire_points(bucket: Bucket, names: Sequence[str], keep: str, now: datetime, retention: timedelta) -> list[str]:
    """Delete restore points older than `retention`, and leftovers of crashed backups older than a day.

    `names` are the existing folders. `keep` is the newest complete restore point. It stays, whatever its
    age. Return the deleted names, oldest first.
    """
    ages = {name: now - instant(name) for name in sorted(names) if name != keep}
    expired = [name for name, age in ages.items() if age > retention]
    sought = [name for name, age in ages.items() if LEFT_OVER < age <= min(_SOUGHT, retention)]
    deleted = sorted(expired + _without_manifest(bucket, sought))[:AT_ONCE]
    for name in deleted:
        delete_point(bucket, name)
    return deleted


def delete_point(bucket: Bucket, name: str) -> None:
    """Delete a restore point, or the files of an incomplete one."""
    bucket.delete(manifest.manifest_key(name))
    bucket.delete(*[stored.key for stored in bucket.objects(f"{manifest.ROOT}{name}/")])


def _without_manifest(bucket: Bucket, names: Sequence[str]) -> list[str]:
    """Return the names of folders without a manifest. The function lists all folders of a day together, because that
    takes only two or three requests."""
    days = sorted({name[:8] for name in names})
    keys = {stored.key for day in days for stored in bucket.objects(f"{manifest.ROOT}{day}")}
    return [name for name in names if manifest.manifest_key(name) not in keys]
