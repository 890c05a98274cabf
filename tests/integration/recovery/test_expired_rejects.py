"""Tests the expiry of reject files."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.errors import StorageUnavailable
from chalicelib.ingest import reject_summary
from chalicelib.ingest.reject_summary import RejectSummary, Wanted
from chalicelib.recovery import expired_rejects
from tests.integration.landing import GRACE, Landing
from tests.integration.s3_fixtures import ERRORED

MONTH = timedelta(days=30)


def expire(landing: Landing, after: timedelta, seconds: float = 60) -> int:
    """Let reject files expire as if the time `after` had passed."""
    errored = landing.s3.storage.errored
    return expired_rejects.expire(
        landing.database, errored, MONTH, now=lambda: datetime.now(UTC) + after, seconds=seconds
    )


def summary(landing: Landing, load_id: int) -> RejectSummary:
    with landing.database.session() as session:
        return reject_summary.of_load(session, landing.s3.storage.errored, load_id, Wanted(10), GRACE)


def test_a_reject_file_expires_with_its_open_rejects_but_the_counts_stay(landing: Landing) -> None:
    for key in ("departments.csv", "jobs.csv"):
        landing.upload(key, "1,A\nx,B\ny,C\n")
    assert (expire(landing, MONTH - timedelta(hours=1)), len(landing.s3.keys(ERRORED))) == (0, 2)
    assert (expire(landing, MONTH + timedelta(hours=1)), landing.s3.keys(ERRORED)) == (2, [])
    assert landing.rows("SELECT count(*) FROM open_rejects") == [(0,)]
    shown = summary(landing, 1)
    assert (shown.rejected, shown.resolved, shown.rejects, shown.url) == (2, 0, [], None)
    assert [reason["count"] for reason in shown.reasons] == [2]
    assert expire(landing, MONTH + timedelta(hours=1)) == 0


def test_files_of_datasets_that_are_not_declared_any_more_expire_and_other_objects_stay(landing: Landing) -> None:
    for key in ("offices/20210727T160208.123456Z-7.ndjson", "offices/notes.txt", "offices/20210727T1602-x.ndjson"):
        landing.s3.client.put_object(Bucket=ERRORED, Key=key, Body=b"")
    assert expire(landing, MONTH + timedelta(hours=1)) == 1
    assert landing.s3.keys(ERRORED) == ["offices/20210727T1602-x.ndjson", "offices/notes.txt"]


def test_a_file_that_an_old_load_stored_lately_stays(landing: Landing) -> None:
    landing.s3.client.put_object(Bucket=ERRORED, Key="jobs/20210727T160208.123456Z-7.ndjson", Body=b"")
    assert expire(landing, timedelta(0)) == 0


def test_a_run_without_time_left_deletes_nothing(landing: Landing) -> None:
    landing.upload("departments.csv", "x,A\n")
    assert expire(landing, 2 * MONTH, seconds=0) == 0
    assert expire(landing, 2 * MONTH) == 1


def test_files_that_could_not_be_deleted_are_deleted_by_the_next_run(landing: Landing) -> None:
    landing.upload("departments.csv", "x,A\n")

    def away(operation: str, _key: str) -> None:
        if operation == "DeleteObjects":
            raise ConnectionResetError

    landing.s3.before = away
    with pytest.raises(StorageUnavailable):
        expire(landing, 2 * MONTH)
    landing.s3.before = None
    assert expire(landing, 2 * MONTH) == 1
