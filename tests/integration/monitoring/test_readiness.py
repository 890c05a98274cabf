"""What /health and the dashboard say of the last backup while S3 answers some requests and not others."""

import pytest

from chalicelib.core.errors import StorageUnavailable
from chalicelib.monitoring import gauges, readiness
from tests.integration.landing import Landing
from tests.integration.s3_fixtures import S3
from tests.integration.sqs_fixtures import Queue


@pytest.fixture
def unlisted(s3: S3) -> S3:
    """An S3 that knows its buckets, and does not list them."""

    def away(operation: str, _key: str) -> None:
        if operation == "ListObjectsV2":
            raise ConnectionResetError

    s3.before = away
    return s3


def test_a_last_backup_that_cannot_be_found_out_is_not_said_to_be_missing(unlisted: S3) -> None:
    assert unlisted.storage.backup.reachable()
    with pytest.raises(StorageUnavailable):
        readiness.last_backup(unlisted.storage)


def test_the_other_gauges_are_read_without_it(unlisted: S3, landing: Landing, queue: Queue) -> None:
    found = gauges.read(landing.database, unlisted.storage, queue.letters)
    assert (found.backup_age, found.backup_lag, found.dead_letters, found.orphans) == (None, None, 0, 0)
