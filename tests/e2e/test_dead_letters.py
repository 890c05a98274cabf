"""Tests what happens to loads that were given up: they leave dead letters, which an operator can redrive."""

import pytest

from tests.e2e.cloud import Cloud, counts, until


@pytest.fixture(autouse=True)
def an_empty_queue(cloud: Cloud, stage: str | None) -> None:
    if stage is not None:
        pytest.skip("only the embedded cloud retries within seconds; on other services retries take minutes")
    cloud.queue("purge_queue")


def test_a_redrive_loads_a_file_whose_load_failed_three_times(cloud: Cloud) -> None:
    cloud.sql("ALTER TABLE jobs ADD CONSTRAINT broken CHECK (job <> 'Clerk')")
    try:
        load = cloud.upload("jobs_redriven.csv", "1,Clerk\n2,\n")
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
    until(lambda: cloud.dead_letters() == 0, "the end of the dead letter")
    assert cloud.redrive() == {"redriven": 0, "left": 0}


def test_a_redrive_leaves_a_message_that_is_not_an_event_in_the_queue(cloud: Cloud) -> None:
    cloud.queue("send_message", MessageBody="hello")
    assert cloud.redrive() == {"redriven": 0, "left": 1}
    until(lambda: cloud.dead_letters() == 1, "the message in the queue")
    cloud.queue("purge_queue")


def test_the_queue_encrypts_messages_and_keeps_them_for_two_weeks(cloud: Cloud) -> None:
    attributes = cloud.queue("get_queue_attributes", AttributeNames=["All"])["Attributes"]
    assert attributes["MessageRetentionPeriod"] == str(14 * 24 * 3600)
    assert attributes["SqsManagedSseEnabled"] == "true"
