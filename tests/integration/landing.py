"""Loads files without a cloud: puts them into the landing bucket, makes the events that S3 would send, and passes these
events to the code of the `ingest` function."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any
from urllib.parse import quote_plus

import pytest

from chalicelib.cloud.database import Database
from chalicelib.cloud.object_streams import SMALL
from chalicelib.core.dataset import Dataset
from chalicelib.core.errors import StorageUnavailable
from chalicelib.ingest.events import created_objects
from chalicelib.ingest.objects import Ingestion, ingest_object
from chalicelib.loads import history
from chalicelib.loads.attempts import MAX_ATTEMPTS
from chalicelib.loads.claims import BUSY_WAIT
from tests.integration.s3_fixtures import ERRORED, LANDING, S3
from tests.rows import ancestors, example, file

GRACE = timedelta(minutes=15)
Row = dict[str, Any]


@dataclass
class Landing:
    """Stores objects in the landing bucket and delivers their events. `events` has the delivered events, so that a test
    can deliver them again. Objects of at most `keeps` bytes are read only once."""

    database: Database
    s3: S3
    events: list[Row] = field(default_factory=list)
    keeps: int = SMALL
    _sequence: Iterator[int] = field(default_factory=lambda: count(1))

    def put(self, key: str, body: bytes | str, **metadata: str) -> Row:
        """Store an object version with these metadata, and return its event. The event is not delivered. If the key
        ends in .gz, the body is compressed. In the names of the metadata, `_` is replaced by `-`: `max_rejected`
        becomes `max-rejected`."""
        data = body.encode() if isinstance(body, str) else body
        if key.endswith(".gz"):
            data = gzip.compress(data)
        named = {name.replace("_", "-"): value for name, value in metadata.items()}
        response = self.s3.client.put_object(Bucket=LANDING, Key=key, Body=data, Metadata=named)
        item = {
            "key": quote_plus(key),
            "versionId": response.get("VersionId", "null"),  # S3 uses "null" in a bucket without versioning
            "eTag": response["ETag"].strip('"'),
            "sequencer": f"{next(self._sequence):016X}",
        }
        return {"Records": [{"s3": {"bucket": {"name": LANDING}, "object": item}}]}

    def deliver(self, event: Row, *, grace: timedelta = GRACE, busy_wait: float = BUSY_WAIT) -> None:
        self.events.append(event)
        for created in created_objects(event):
            ingestion = Ingestion(self.database, self.s3.storage, grace, busy_wait=busy_wait, keeps=self.keeps)
            ingest_object(ingestion, created)

    def upload(self, key: str, body: bytes | str, *, grace: timedelta = GRACE, **metadata: str) -> Row:
        """Store an object and deliver its event. Return the newest load, which is that of the object."""
        self.deliver(self.put(key, body, **metadata), grace=grace)
        return self.load()

    def give_up(self, event: Row) -> Row:
        """Deliver an event until the load has used all its attempts. Every attempt fails, because S3 does not return
        the object. Return the load."""

        def away(operation: str, _key: str) -> None:
            if operation == "GetObject":
                raise ConnectionResetError

        self.s3.before = away
        for _ in range(MAX_ATTEMPTS):
            with pytest.raises(StorageUnavailable):
                self.deliver(event)
        self.s3.before = None
        load = self.load()
        assert (load["status"], load["attempts"]) == ("failed", 3)
        return load

    def load(self, load_id: int | None = None) -> Row:
        with self.database.session() as session:
            if load_id is None:
                return vars(history.listed(session, {}, limit=1, before=None)[0])
            load = history.get(session, load_id)
            assert load is not None
            return vars(load)

    def loads(self) -> int:
        return int(self.scalar("SELECT count(*) FROM loads"))

    def scalar(self, sql: str) -> Any:
        with self.database.session() as session:
            return session.scalar(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.database.session() as session:
            return [tuple(row) for row in session.run(sql)]

    def rejects(self, load: Row) -> list[Row]:
        if load["errored_key"] is None:
            return []
        body = self.s3.client.get_object(Bucket=ERRORED, Key=load["errored_key"])["Body"].read()
        return [json.loads(line) for line in body.splitlines()]


@pytest.fixture
def landing(database: Database, s3: S3) -> Landing:
    s3.client.put_bucket_versioning(Bucket=LANDING, VersioningConfiguration={"Status": "Enabled"})
    return Landing(database, s3)


def counts(load: Row) -> tuple[int, ...]:
    """Return the counts (received, inserted, updated, unchanged, superseded, rejected). Raise AssertionError if they do
    not add up."""
    received, *others = (
        load[name] for name in ("received", "inserted", "updated", "unchanged", "superseded", "rejected")
    )
    assert received == sum(others)
    return received, *others


def fill_parents(landing: Landing, dataset: Dataset, number: int = 1) -> None:
    """Load a row with the id `number` into all datasets that the rows of `dataset` refer to."""
    for parent in ancestors(dataset):
        landing.upload(f"{parent.name}.csv", file(example(parent, number, number)))
