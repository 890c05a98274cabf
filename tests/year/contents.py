"""Fills a deployed stage with what a year leaves behind: loads, restore points, and objects in the landing bucket.

No function of the product makes these rows and objects. This module writes them in the form in which the product does.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.backups import manifest
from chalicelib.backups.manifest import Manifest
from chalicelib.core import timestamps
from chalicelib.core.restore_point_names import instant
from chalicelib.recovery.landing_sweep import LOCK
from infra.local.provision import connect
from tests.e2e.cloud import Cloud

if TYPE_CHECKING:
    from collections.abc import Iterator

_SENDERS = 8  # threads that send objects
_DAYS = 400  # the age of the oldest load; the default of LOAD_RETENTION_DAYS is 365
_TRIGGERS = ("loads_note_end_insert", "loads_note_end_update")
_DATASET = "(ARRAY['departments', 'jobs', 'hired_employees'])[1 + n % 3]"
_AT = f"now() - interval '{_DAYS} days' * (1 - n / CAST({{count}} AS float8))"
# Of a hundred loads, one fails and ten have rejects. Rare kinds and statuses are the slowest ones to search for.
_REASONS = '[{"reason": "job_id is missing", "code": "missing", "count": 10}]'
_LOADS = f"""
INSERT INTO loads (dataset, source, version, kind, status, received, inserted, rejected, attempts, reasons,
    correlation_id, error, created_at, queued_at, started_at, finished_at)
SELECT {_DATASET}, coalesce(source, 'api:/department/upload/batch'), version,
    CASE WHEN version IS NULL THEN 'api' ELSE 'csv' END, CASE WHEN n % 100 = 7 THEN 'failed' ELSE 'succeeded' END, 1000,
    990, CASE WHEN n % 10 = 3 THEN 10 ELSE 0 END, 1, CAST(CASE WHEN n % 10 = 3 THEN :reasons ELSE '[]' END AS jsonb),
    gen_random_uuid(), CASE WHEN n % 100 = 7 THEN 'no row could be loaded' END, at, at, at, at
FROM (
    SELECT n, {_AT.format(count=":loads")} AS at, NULL AS source, NULL AS version FROM generate_series(1, :loads) AS n
    UNION ALL
    SELECT n, {_AT.format(count=":objects")}, source, version
    FROM unnest(CAST(:sources AS text[]), CAST(:versions AS text[])) WITH ORDINALITY AS o (source, version, n)
) AS t ORDER BY at
"""


@dataclass(frozen=True)
class Contents:
    """How many loads of requests, restore points, and objects with their loads a stage gets."""

    loads: int
    points: int
    objects: int


def fill(cloud: Cloud, contents: Contents, report: Callable[[str], None]) -> None:
    with _without_events(cloud):
        report(f"{contents.objects:,} objects")
        objects = _add_objects(cloud, contents.objects)
        report(f"{contents.loads:,} loads")
        _add_loads(cloud, contents.loads, objects)
    report(f"{contents.points:,} restore points")
    _add_points(cloud, contents.points)
    cloud.sql("VACUUM ANALYZE loads")


@contextmanager
def _without_events(cloud: Cloud) -> "Iterator[None]":
    """Let the landing bucket send no events, and let no sweep offer its objects, until their loads are added."""
    bucket = cloud.env["LANDING_BUCKET"]
    usual: Any = cloud.s3.get_bucket_notification_configuration(Bucket=bucket)
    usual.pop("ResponseMetadata")
    cloud.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    cloud.sql("UPDATE landing_sweep SET starts_at = starts_at + interval '1 day'")
    cloud.sql("SELECT pg_advisory_lock({}, {})".format(*LOCK))  # waits for the sweep that `up` has started
    try:
        yield
    finally:
        cloud.sql("UPDATE landing_sweep SET starts_at = starts_at - interval '1 day'")
        cloud.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=usual)


def _add_objects(cloud: Cloud, count: int) -> list[tuple[str, str]]:
    """Add files to the landing bucket. Return the source and the version of each."""
    bucket = cloud.env["LANDING_BUCKET"]

    def put(number: int) -> tuple[str, str]:
        key = f"departments/{number % 100}/departments_{number}.csv"
        stored = cloud.s3.put_object(Bucket=bucket, Key=key, Body=b"1,Sales\n")
        return f"s3://{bucket}/{key}", stored["VersionId"]

    return _each(put, range(count))


def _add_loads(cloud: Cloud, count: int, objects: Sequence[tuple[str, str]]) -> None:
    """Add the loads of requests and objects, in the order of their times."""
    with _quiet(cloud) as connection:
        connection.run(
            _LOADS,
            reasons=_REASONS,
            loads=count,
            objects=len(objects),
            sources=[source for source, _ in objects],
            versions=[version for _, version in objects],
        )


def _add_points(cloud: Cloud, count: int) -> None:
    """Add restore points that look like copies of a real one, three minutes apart."""
    bucket = cloud.env["BACKUP_BUCKET"]
    name = cloud.backup()
    newest = Manifest.parse(name, cloud.s3.get_object(Bucket=bucket, Key=manifest.manifest_key(name))["Body"].read())

    def put(number: int) -> None:
        at = instant(name) - number * timedelta(minutes=3)
        point = replace(newest, restore_point=timestamps.name(at))
        for table in newest.tables:
            cloud.s3.put_object(Bucket=bucket, Key=manifest.key(point.restore_point, table), Body=b"Obj")
            cloud.s3.put_object(Bucket=bucket, Key=manifest.link_key(point.restore_point, table), Body=b"s3://")
        cloud.s3.put_object(Bucket=bucket, Key=manifest.manifest_key(point.restore_point), Body=point.to_json())

    _each(put, range(1, count + 1))


def _each(put: Callable[[int], Any], numbers: Iterable[int]) -> list[Any]:
    with ThreadPoolExecutor(_SENDERS) as pool:
        return list(pool.map(put, numbers))


@contextmanager
def _quiet(cloud: Cloud) -> "Iterator[Any]":
    """Connect as the database owner. Loads that are added write no messages to the outbox."""
    with closing(connect(cloud.env["DATABASE_URL"])) as connection:
        connection.run("".join(f"ALTER TABLE loads DISABLE TRIGGER {name};" for name in _TRIGGERS))
        try:
            yield connection
        finally:
            connection.run("".join(f"ALTER TABLE loads ENABLE ALWAYS TRIGGER {name};" for name in _TRIGGERS))
