"""Loads large objects in several invocations, with crashes between them. Tests that the result is the same as after one
invocation."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.backups.restore import order_restore
from chalicelib.backups.run import run_backup
from chalicelib.cloud.database import Database
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadGivenUp, StorageUnavailable, Unavailable
from chalicelib.ingest.events import created_objects
from chalicelib.ingest.handover import MOST_HANDOVERS, HandoverPolicy
from chalicelib.ingest.objects import Ingestion, ingest_object
from chalicelib.loads import claims
from chalicelib.loads.outcomes import Ended
from chalicelib.migrations.migrate import upgrade
from chalicelib.recovery import upkeep
from infra.local.postgres import Postgres, temporary
from infra.local.provision import connect
from tests.integration.embedded import eventually
from tests.integration.landing import GRACE, Landing, counts
from tests.integration.s3_fixtures import S3
from tests.tables import TABLES

PARENTS = {"departments.csv": "1,Sales\n2,Ops\n", "jobs.csv": "1,Clerk\n2,Smith\n"}


class Killed(BaseException):
    """The exception with which a test kills a worker. The code under test does not catch this exception."""


@dataclass
class Relay:
    """Runs invocations one after the other, each for a portion of `lines` lines.

    `deaths` has a value for each invocation. True means that the worker is killed as soon as its portion is committed.
    `invoked` counts the invocations, and `handovers` counts the requests for another invocation.
    """

    landing: Landing
    lines: int = 1
    deaths: Sequence[bool] = ()
    invoked: int = 0
    handovers: int = 0
    ended: list[Ended] = field(default_factory=list)

    def run(self, event: dict[str, Any]) -> dict[str, Any]:
        """Deliver an event again and again until its load has ended. Returns the load."""
        while not self.once(event):
            assert self.invoked < 500
        return self.landing.load()

    def once(self, event: dict[str, Any], *, again: bool = True) -> bool:
        """Run one invocation. Return whether the load has ended. If `again` is false, the invocation cannot hand the
        load over."""
        dies = self.invoked < len(self.deaths) and self.deaths[self.invoked]
        self.invoked += 1

        def invoke_again() -> None:
            self.handovers += 1
            if dies:
                raise Killed

        handover = HandoverPolicy(1, invoke_again if again else None, margin=60, lines=self.lines)
        ingestion = Ingestion(self.landing.database, self.landing.s3.storage, GRACE, handover, self.ended.append)
        [created] = created_objects(event)
        try:
            return ingest_object(ingestion, created, seconds=75)
        except Killed:
            return False


def everything(landing: Landing, load: dict[str, Any]) -> tuple[Any, ...]:
    """Return everything that a load has written, except the id and the times of the load."""
    changing = {"load_id", "source", "rejected_at"}
    rejects = [{k: v for k, v in reject.items() if k not in changing} for reject in landing.rejects(load)]
    reasons = landing.scalar(f"SELECT reasons FROM loads WHERE id = {load['id']}")
    tables = [landing.rows(f"SELECT * FROM {dataset.table} ORDER BY id") for dataset in DATASETS.values()]
    orphans = landing.rows('SELECT dataset, id, "row"::text FROM orphans ORDER BY 1, 2')
    return load["status"], load["error"], counts(load), reasons, rejects, tables, orphans


def empty(landing: Landing) -> None:
    with landing.database.session() as session:
        session.run(f"TRUNCATE {TABLES}, loads, orphans RESTART IDENTITY CASCADE")
    for key, body in PARENTS.items():
        landing.upload(key, body)


def staged(landing: Landing) -> list[Any]:
    """Return the names of all staging tables of large loads, and the ids of the loads in `staged_loads`."""
    tables = landing.rows("SELECT relname FROM pg_class WHERE relnamespace = 'staged'::regnamespace AND relkind = 'r'")
    return tables + landing.rows("SELECT load_id FROM staged_loads")


LINES = st.sampled_from(
    [
        b"1,Ann,2021-07-27T16:02:08Z,1,1",
        b"1,Bo,2021-07-27T16:02:08Z,2,2",
        b"2,Cy,2021-01-01,1,2",
        b'3,"Dee, ""D""",2021-01-01,1,2',
        b'4,"E\ne",2021-01-01,2,2',
        b'4,"E\r\n\r\ne",2021-01-01,2,9',
        b"5,F,2021-01-01,9,1",
        b"5,G,2021-01-01,9,8",
        b"6,,2021-01-01,9,1",
        b'7,"never closed,2021-01-01,1,1',
        b"\xff,x",
        b"",
        b"id,name,datetime,department_id,job_id",
    ]
)
FILES = st.builds(
    lambda bom, lines, end, last: bom + end.join(lines) + (end if last else b""),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(LINES, max_size=12),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)


@given(
    body=FILES,
    lines=st.integers(1, 4),
    deaths=st.lists(st.booleans(), max_size=6),
    suffix=st.sampled_from(["csv", "csv.gz"]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_invocations_have_the_result_of_one(
    landing: Landing, body: bytes, lines: int, deaths: list[bool], suffix: str
) -> None:
    empty(landing)
    once = everything(landing, landing.upload(f"hired_employees.{suffix}", body))
    empty(landing)
    # At most one of three invocations in a row is killed, because a load has only three attempts.
    deaths = [dies and not any(deaths[max(0, i - 2) : i]) for i, dies in enumerate(deaths)]
    relay = Relay(landing, lines, deaths)
    event = landing.put(f"hired_employees.{suffix}", body)
    assert everything(landing, relay.run(event)) == once
    assert staged(landing) == []
    assert len(relay.ended) == 1


ROWS = "".join(f'{i},"Ann, {i % 4}",2021-01-0{i % 9 + 1},{i % 3 + 1},1\r\n' for i in range(1, 13))


def loaded_at_once(landing: Landing, key: str = "hired_employees.csv") -> tuple[Any, ...]:
    empty(landing)
    once = everything(landing, landing.upload(key, ROWS))
    empty(landing)
    return once


def test_handovers_use_up_no_attempts(landing: Landing) -> None:
    once = loaded_at_once(landing)
    relay = Relay(landing, 2, [True, True, False] * 2)
    load = relay.run(landing.put("hired_employees.csv", ROWS))
    assert everything(landing, load) == once
    assert load["attempts"] < 3 < relay.invoked
    assert relay.ended[0].status == "succeeded"
    assert relay.ended[0].counts.received == 12


def test_the_next_invocation_shows_at_once_what_was_already_read(landing: Landing) -> None:
    empty(landing)
    event, relay = landing.put("hired_employees.csv", ROWS), Relay(landing, 2)
    assert not relay.once(event)
    with landing.database.session() as session:
        session.run(
            "CREATE TABLE shown (n serial, received bigint);"
            "CREATE FUNCTION note_received() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN INSERT INTO shown (received) VALUES (NEW.received); RETURN NULL; END';"
            "CREATE TRIGGER note_received AFTER UPDATE ON loads FOR EACH ROW EXECUTE FUNCTION note_received()"
        )
    try:
        assert not relay.once(event)
        shown = [received for [received] in landing.rows("SELECT received FROM shown ORDER BY n")]
        assert [received for received in shown if received] == [2, 4, 4]
    finally:
        with landing.database.session() as session:
            session.run("DROP FUNCTION note_received CASCADE; DROP TABLE shown")


def test_a_load_that_does_not_end_fails_after_a_day_of_handovers(landing: Landing) -> None:
    """The last allowed handover still takes place, but the load fails at the next one."""
    empty(landing)
    event, relay = landing.put("hired_employees.csv", ROWS), Relay(landing, 1)
    assert not relay.once(event)
    with landing.database.session() as session:
        session.run(f"UPDATE loads SET handovers = {MOST_HANDOVERS - 1} WHERE status = 'queued'")
    assert not relay.once(event)
    assert relay.once(event)
    load = landing.load()
    assert (load["status"], relay.handovers, load["attempts"]) == ("failed", 2, 1)
    assert load["error"] == "the load did not end in 97 invocations: split the file, and send its parts"
    assert staged(landing) == []
    assert [one.status for one in relay.ended] == ["failed"]
    assert relay.once(event)  # Lambda may deliver the event again, but the load has ended
    assert landing.load()["status"] == "failed"


def test_the_next_attempt_continues_a_load_that_cannot_be_handed_over(landing: Landing) -> None:
    once = loaded_at_once(landing)
    event = landing.put("hired_employees.csv", ROWS)
    relay = Relay(landing, 5)
    refused = HandoverPolicy(1, lambda: _raise(Unavailable("Lambda is unavailable")), margin=60, lines=5)
    [created] = created_objects(event)
    with pytest.raises(Unavailable):
        ingest_object(Ingestion(landing.database, landing.s3.storage, GRACE, refused), created, seconds=75)
    assert landing.load()["status"] == "queued"
    assert landing.rows("SELECT lines FROM staged_loads") == [(5,)]
    assert everything(landing, relay.run(event)) == once


def _raise(error: Exception) -> None:
    raise error


def test_a_load_that_is_given_up_leaves_no_tables_and_is_loaded_after_a_redrive(landing: Landing) -> None:
    once = loaded_at_once(landing)
    event = landing.put("hired_employees.csv", ROWS)
    relay = Relay(landing, 5)
    assert not relay.once(event)

    def away(operation: str, _key: str) -> None:
        if operation == "GetObject":
            raise ConnectionResetError

    landing.s3.before = away
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            relay.once(event)
    landing.s3.before = None
    assert (landing.load()["status"], staged(landing)) == ("failed", [])
    with pytest.raises(LoadGivenUp):
        relay.once(event)
    with landing.database.session() as session:
        claims.reopen(session, next(iter(created_objects(event))))
    assert everything(landing, relay.run(event)) == once


def test_the_sweep_drops_left_over_tables_but_not_those_of_a_load_with_a_worker(
    landing: Landing, postgres: Postgres
) -> None:
    empty(landing)
    relay = Relay(landing, 5)
    relay.once(landing.put("hired_employees.csv", ROWS))
    load_id = landing.load()["id"]
    upkeep.sweep(landing.database, landing.s3.storage, grace=GRACE)
    assert len(staged(landing)) == 3
    worker = Database(postgres.url, tls="disable")
    with worker.session() as session:
        session.run(f"SELECT pg_advisory_lock({load_id})")
        with landing.database.session() as other:
            claims.fail(other, load_id, "for a test")
        upkeep.sweep(landing.database, landing.s3.storage, grace=GRACE)
        assert len(staged(landing)) == 3
    worker.close()

    def is_dropped() -> bool:
        upkeep.sweep(landing.database, landing.s3.storage, grace=GRACE)
        return staged(landing) == []

    # Postgres releases the lock of a closed connection a moment later.
    assert eventually(is_dropped), "the sweep did not drop the tables after the worker was gone"


def test_the_load_of_an_overwritten_object_starts_again(landing: Landing) -> None:
    empty(landing)
    relay = Relay(landing, 5)
    event = landing.put("hired_employees.csv", "1,Old,2021-01-01,1,1\n" * 12)
    del event["Records"][0]["s3"]["object"]["versionId"]  # as in a bucket without versioning
    assert not relay.once(event)
    landing.put("hired_employees.csv", ROWS)
    load = relay.run(event)
    assert counts(load) == (12, 8, 0, 0, 0, 4)
    assert landing.scalar("SELECT count(*) FROM hired_employees WHERE name = 'Old'") == 0


def test_a_restore_is_continued_by_the_next_invocation(landing: Landing) -> None:
    empty(landing)
    names = [(i, f"Department {i}") for i in range(1, 20_001)]
    landing.upload("departments.csv", "".join(f"{i},{name}\n" for i, name in names))
    run_backup(landing.database, landing.s3.storage, retention=timedelta(days=1))
    landing.upload("departments.csv", "".join(f"{i},x\n" for i in range(1, 20_001)))
    order = order_restore(landing.database, landing.s3.storage, DATASETS["departments"])
    key = f"restores/{order.load_id}/departments.avro"
    head = landing.s3.client.head_object(Bucket="test-landing", Key=key)
    item = {"key": key, "versionId": head["VersionId"], "sequencer": "F"}
    relay = Relay(landing, 1000, [False, True])
    event = {"Records": [{"s3": {"bucket": {"name": "test-landing"}, "object": item}}]}
    while not relay.once(event):
        pass
    assert counts(landing.load(order.load_id)) == (20_000, 0, 20_000, 0, 0, 0)
    assert relay.handovers > 2
    assert landing.rows("SELECT * FROM departments ORDER BY id") == names


def test_a_small_object_is_staged_at_once(landing: Landing) -> None:
    empty(landing)
    event = landing.put("hired_employees.csv", ROWS)
    [created] = created_objects(event)
    handover = HandoverPolicy(len(ROWS) + 1, lambda: _raise(AssertionError()), margin=60, lines=1)
    landing.s3.calls.clear()
    assert ingest_object(Ingestion(landing.database, landing.s3.storage, GRACE, handover), created, seconds=75)
    # The second reading, for rows without parents, reads the object from memory.
    assert [call for call, _ in landing.s3.calls].count("GetObject") == 1
    assert landing.scalar("SELECT handovers FROM loads ORDER BY id DESC LIMIT 1") == 0


def test_a_load_starts_again_after_a_crash_of_postgres(s3: S3) -> None:
    with temporary() as server:
        upgrade(server.url, tls="disable")
        database = Database(server.url, tls="disable")
        s3.client.put_bucket_versioning(Bucket="test-landing", VersioningConfiguration={"Status": "Enabled"})
        landing = Landing(database, s3)
        once = loaded_at_once(landing)
        relay = Relay(landing, 3)
        event = landing.put("hired_employees.csv", ROWS)
        for _ in range(2):
            assert not relay.once(event)
        assert landing.rows("SELECT lines FROM staged_loads") == [(6,)]
        with closing(connect(server.superuser_url)) as admin:
            # Commits on this server do not wait for the disk. Without a checkpoint, the crash might lose them.
            admin.run("CHECKPOINT")
        port = server.port() or 0
        server.kill()
        server.start(port)
        assert landing.rows("SELECT lines FROM staged_loads") == [(6,)]
        assert not relay.once(event)
        assert landing.rows("SELECT lines FROM staged_loads") == [(3,)]
        assert everything(landing, relay.run(event)) == once
        database.close()
