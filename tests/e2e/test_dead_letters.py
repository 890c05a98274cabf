"""Loads that fail for good, and what brings them back."""

import pytest

from tests.e2e.cloud import Cloud, counts, until


@pytest.fixture(autouse=True)
def an_empty_queue(cloud: Cloud, stage: str | None) -> None:
    if stage is not None:
        pytest.skip("only the embedded cloud retries within seconds, elsewhere it takes minutes")
    cloud.queue("purge_queue")


def test_a_load_that_failed_three_times_is_loaded_by_a_redrive(cloud: Cloud) -> None:
    cloud.sql("ALTER TABLE jobs ADD CONSTRAINT broken CHECK (job <> 'Clerk')")
    try:
        load = cloud.upload("jobs_redriven.csv", "1,Clerk\n,\n")
    finally:
        cloud.sql("ALTER TABLE jobs DROP CONSTRAINT IF EXISTS broken")
    assert (load["status"], load["attempts"]) == ("failed", 3)
    until(lambda: cloud.dead_letters() == 1, "the dead letter")
    assert cloud.get("/health").status == 200
    assert cloud.redrive() == {"redriven": 1, "left": 0}
    load = cloud.followed(f"/loads/{load['id']}")
    assert (load["status"], load["attempts"], counts(load)) == ("succeeded", 1, (2, 1, 0, 0, 0, 1))
    assert cloud.table("jobs") == [(1, "Clerk")]
    assert len(cloud.rejects(load)) == 1
    assert cloud.dead_letters() == 0
    assert cloud.redrive() == {"redriven": 0, "left": 0}


def test_a_message_that_is_no_event_stays(cloud: Cloud) -> None:
    cloud.queue("send_message", MessageBody="hello")
    assert cloud.redrive() == {"redriven": 0, "left": 1}
    assert cloud.dead_letters() == 1
    cloud.queue("purge_queue")


def test_the_queue_keeps_messages_for_two_weeks_and_encrypted(cloud: Cloud) -> None:
    found = cloud.queue("get_queue_attributes", AttributeNames=["All"])["Attributes"]
    assert found["MessageRetentionPeriod"] == str(14 * 24 * 3600)
    assert found["SqsManagedSseEnabled"] == "true"
