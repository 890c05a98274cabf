"""Tests a stage whose functions reach only Postgres and S3 (AWS_CALLS=relay). On such a stage, the relay sends the
invocations."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.cloud import Cloud, until
from tests.e2e.test_continuing import ENOUGH, ROWS, STATE, TIMEOUT, row


@pytest.fixture(autouse=True)
def by_relay(cloud: Cloud, stage: str | None) -> Iterator[None]:
    if stage is not None:
        pytest.skip("this stage was not started by the tests, so they do not change its functions")
    cloud.queue("purge_queue")
    with ExitStack() as changes:
        for function, timeout in (("sweep", 300), ("relay", 60), ("redrive", 300)):
            changes.enter_context(cloud.reconfigured(function, timeout=timeout, AWS_CALLS="relay"))
        yield


def test_the_relay_starts_the_next_invocation_of_a_long_load(cloud: Cloud) -> None:
    before = cloud.newest_load()
    with cloud.reconfigured("ingest", timeout=TIMEOUT, CONTINUE_FROM_BYTES="1000000", AWS_CALLS="relay"):
        source = cloud.put("departments_relayed.csv", "".join(map(row, range(ROWS))))

        def ended() -> bool:
            cloud.commands.invoke("relay")
            return any(load["status"] == "succeeded" for load in cloud.loads(source, before))

        until(ended, "the end of the load", ENOUGH)
    [[handovers, _, _]] = cloud.sql(STATE)
    assert handovers > 0
    assert cloud.sql("SELECT count(*) FROM outbox WHERE kind = 'invoke'") == [(0,)]


def test_a_redrive_lets_the_function_outbox_reopen_loads(cloud: Cloud) -> None:
    cloud.sql("ALTER TABLE jobs ADD CONSTRAINT broken CHECK (job <> 'Clerk')")
    try:
        load = cloud.upload("jobs_relayed.csv", "1,Clerk\n")
    finally:
        cloud.sql("ALTER TABLE jobs DROP CONSTRAINT IF EXISTS broken")
    until(lambda: cloud.dead_letters() == 1, "the dead letter")
    cloud.commands.invoke("relay")
    assert cloud.sql("SELECT dead_letters FROM relay_state") == [(1,)]
    assert cloud.redrive() == {"redriven": 1, "left": 0}
    assert cloud.followed(f"/loads/{load['id']}")["status"] == "succeeded"
    until(lambda: cloud.commands.invoke("relay") and cloud.sql("SELECT dead_letters FROM relay_state") == [(0,)], "0")


def test_an_object_whose_event_was_lost_is_offered_by_the_relay(cloud: Cloud) -> None:
    load = cloud.upload("jobs_lost.csv", "1,Clerk\n")
    cloud.sql(f"DELETE FROM loads WHERE id = {load['id']}")  # as if the event had never arrived
    assert cloud.commands.invoke_scheduled("sweep", {"restarted": True})["offered"] >= 1
    until(
        lambda: cloud.commands.invoke("relay") and cloud.loads(load["source"], load["id"]),
        "the load of the object",
    )
