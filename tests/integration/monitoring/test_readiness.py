"""Tests what /health and the dashboard show as the last backup while S3 refuses some requests."""

import pytest

from chalicelib.core.errors import StorageUnavailable
from chalicelib.monitoring import gauges, readiness
from tests.integration.landing import Landing
from tests.integration.s3_fixtures import S3
from tests.integration.sqs_fixtures import Queue


@pytest.fixture
def unlisted(s3: S3) -> S3:
    """Let S3 fail to list the objects of buckets. Other requests to S3 succeed."""

    def away(operation: str, _key: str) -> None:
        if operation == "ListObjectsV2":
            raise ConnectionResetError

    s3.before = away
    return s3


def test_if_the_bucket_cannot_be_listed_the_last_backup_is_unavailable_and_not_missing(unlisted: S3) -> None:
    assert unlisted.storage.backup.reachable()
    with pytest.raises(StorageUnavailable):
        readiness.newest_backup(unlisted.storage)


def test_the_other_gauges_are_read_if_the_bucket_cannot_be_listed(unlisted: S3, landing: Landing, queue: Queue) -> None:
    read = gauges.read(landing.database, unlisted.storage, queue.letters)
    assert (read.backup_age, read.backup_lag, read.dead_letters, read.orphans) == (None, None, 0, 0)
