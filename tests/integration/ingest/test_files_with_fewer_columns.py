"""Loads files that leave out columns: files of an earlier shape, and rows that leave out a column. The datasets are
those of `shop`."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.core import deadline
from chalicelib.core.dataset import Dataset
from chalicelib.core.declarations import Declarations
from chalicelib.core.streams import Peekable
from chalicelib.ingest import dryrun, reject_csv
from chalicelib.ingest.at_once import AtOnce
from chalicelib.ingest.attempt import Attempt
from chalicelib.ingest.completion import Completion
from chalicelib.ingest.events import created_objects
from chalicelib.ingest.file_reading import FileReading
from chalicelib.ingest.handover import HandoverPolicy
from chalicelib.ingest.reject_files import RejectFile
from chalicelib.ingest.resumable import Resumable
from chalicelib.ingest.staging import Outcome, Staged, Staging
from chalicelib.loads import claims, history
from tests.integration.landing import Landing, Row, landing
from tests.integration.shop import ORDERS, USERS, Shop, shop
from tests.workbooks import table

__all__ = ["landing", "shop"]
SELECT = ORDERS.columns[2].default
NEW: Row = {**dict.fromkeys(ORDERS.column_names[1:]), "select": SELECT, "default": "none given"}
KNOWN: Row = {"user": 1, "select": "mine", "default": "own", "place": "here", "from": 2}
# The same table in a release in which a row may leave out no column.
EARLIER = Dataset("order", "order_row", ORDERS.columns[:2])
Way = Callable[[Attempt, FileReading, Any], Staging]


@dataclass(frozen=True)
class Loader:
    """Loads files of the shop in the same way as the function `ingest`, which has only the declared datasets."""

    shop: Shop
    landing: Landing

    def upload(self, dataset: Dataset, body: bytes | str, **declared: str) -> Outcome:
        outcome = self.once(dataset, self.landing.put("order.csv", body, **declared))
        assert outcome is not None
        return outcome

    def once(self, dataset: Dataset, event: Row, portion: int = 0) -> Outcome | None:
        """Run one invocation. With `portion`, it stages at most so many lines, and returns None if it has handed the
        load over."""
        [created] = created_objects(event)
        policy = HandoverPolicy(1, lambda: None, margin=60, lines=portion)
        with self.shop.database.session() as session, deadline.within(60):
            claim = claims.claim(session, created, dataset, "csv")
            assert claim is not None
            attempt = Attempt(session, self.landing.s3.storage, claim, created, dataset)
            rejects = RejectFile(attempt.storage.errored, attempt.reported_load)

            def complete(staged: Staged) -> Outcome:
                return Completion(attempt, staged, rejects).run()

            try:
                with attempt.opened() as body:
                    reading = FileReading.of_file(dataset, body.stream, Declarations.of(body.metadata))
                    staging: Staging = (
                        Resumable(attempt, reading, body.etag, policy) if portion else AtOnce(attempt, reading, body)
                    )
                    return staging.run(rejects, complete)
            finally:
                claims.release(session, claim.load_id)

    def orders(self) -> dict[int, Row]:
        return self.shop.rows(ORDERS)

    def rejects(self) -> list[Row]:
        return self.landing.rejects(self.landing.load())


@pytest.fixture
def loader(shop: Shop, landing: Landing) -> Loader:
    shop.insert(USERS, *({"id": i, "name": f"user {i}"} for i in (1, 2, 3)))
    shop.insert(ORDERS, {"id": 7, **KNOWN})
    return Loader(shop, landing)


def outcome(done: Outcome | None) -> tuple[int, ...]:
    """Return the counts (received, inserted, updated, unchanged, superseded, rejected)."""
    assert done is not None
    counts = done.counts
    assert done.status == "succeeded"
    return (
        counts.received,
        counts.inserted,
        counts.updated,
        counts.unchanged,
        counts.superseded,
        counts.rejected,
    )


@pytest.mark.parametrize("body", ["7,3\n8,2\n", "id,user\n7,3\n8,2\n", "user;id\n3;7\n2;8\n"])
def test_a_file_of_an_earlier_shape_changes_only_its_own_columns(loader: Loader, body: str) -> None:
    assert outcome(loader.upload(ORDERS, body)) == (2, 1, 1, 0, 0, 0)
    assert loader.orders() == {7: {**NEW, **KNOWN, "user": 3}, 8: {**NEW, "user": 2}}
    assert outcome(loader.upload(ORDERS, body + ("\n" if ";" in body else ""))) == (2, 0, 0, 2, 0, 0)


def test_an_empty_field_under_a_header_sets_null_and_a_column_that_is_not_named_stays(loader: Loader) -> None:
    body = "id,user,place,default\n7,1,,\n8,1,there,\n"
    assert outcome(loader.upload(ORDERS, body)) == (2, 1, 1, 0, 0, 0)
    assert loader.orders() == {
        7: {**NEW, **KNOWN, "place": None, "default": None},
        8: {**NEW, "user": 1, "place": "there", "default": None},
    }


def test_empty_fields_at_the_end_of_a_row_without_header_leave_out_their_columns(loader: Loader) -> None:
    body = "7,1,mine,,,\n8,1,,,,\n9,1,own,,there,\n10,1,,x,,\n"
    assert outcome(loader.upload(ORDERS, body)) == (4, 2, 0, 1, 0, 1)
    assert loader.orders() == {
        7: {**NEW, **KNOWN},
        8: {**NEW, "user": 1},
        9: {**NEW, "user": 1, "select": "own", "default": None, "place": "there"},
    }
    [reject] = loader.rejects()
    assert (reject["reasons"], reject["row"]["default"], reject["row"]["place"]) == (["select is missing"], "x", None)


def test_the_sheet_of_a_workbook_is_read_in_the_same_way(loader: Loader) -> None:
    named = table([["id", "user", "place"], [7, 1, None], [8, 2.0, "there"]])
    assert outcome(loader.upload(ORDERS, named)) == (2, 1, 1, 0, 0, 0)
    by_position = table([[7, 3], [9, 1, "own"]])
    assert outcome(loader.upload(ORDERS, by_position)) == (2, 1, 1, 0, 0, 0)
    assert loader.orders() == {
        7: {**NEW, **KNOWN, "user": 3, "place": None},
        8: {**NEW, "user": 2, "place": "there"},
        9: {**NEW, "user": 1, "select": "own"},
    }


def test_a_row_without_its_parent_is_reported_as_it_was_sent(loader: Loader) -> None:
    assert outcome(loader.upload(ORDERS, "id,from,user,place\n8,99,1,\n9,,98,here\n10,,1,\n")) == (3, 1, 0, 0, 0, 2)
    first, second = loader.rejects()
    assert (first["reasons"], first["raw"]) == (["from 99 does not exist"], "8,99,1,")
    assert first["row"] == {**dict.fromkeys(ORDERS.column_names), "id": "8", "user": "1", "from": "99", "place": ""}
    assert (second["reasons"], second["row"]["from"]) == (["user 98 does not exist"], "")
    waiting = loader.landing.rows('SELECT "row"::text FROM orphans ORDER BY id')
    assert [json.loads(row) for [row] in waiting] == [
        {"id": 8, "user": 1, "place": None, "from": 99},
        {"id": 9, "user": 98, "place": "here", "from": None},
    ]


@pytest.mark.parametrize(
    "body",
    [
        "7,3\n8,99\n9\n",
        "id,place,user,from\n7,,1,99\n8,,1,\n9,x,99,\n7,y,1,2\n",
        "7,1,mine,,,\n8,99,,,,\n9,1,own,,there,,,,\n10,1,,x,,\n",
    ],
)
def test_a_check_tells_what_the_load_does(loader: Loader, body: str) -> None:
    checked = dryrun.dry_run(loader.shop.database, ORDERS, body.encode(), limit=10)
    assert loader.orders() == {7: {**NEW, **KNOWN}}
    done = loader.upload(ORDERS, body)
    assert (checked.status, checked.counts) == (done.status, done.counts)
    changing = {"load_id", "dataset", "source", "rejected_at"}
    rejects = {reject["line"]: {k: v for k, v in reject.items() if k not in changing} for reject in loader.rejects()}
    assert {reject["line"]: reject for reject in checked.rejects} == rejects


def test_a_corrected_row_leaves_out_what_its_reject_left_out(loader: Loader) -> None:
    loader.upload(ORDERS, "7,x,,,,\n8,x,,,there,\n9,1,own,,,\n")
    load = loader.landing.load()
    with loader.shop.database.session() as session:
        file = history.rejected_file(session, load["id"])
    assert file is not None
    rejects = [{**reject, "waiting": False} for reject in loader.rejects()]
    text = reject_csv.text_of(ORDERS, file, rejects).replace(",x,", ",3,")
    assert ",select default place load_id from group" in text
    assert outcome(loader.upload(ORDERS, text, corrects=str(load["id"]))) == (2, 0, 1, 0, 0, 1)
    assert loader.orders()[7] == {**NEW, **KNOWN, "user": 3}


# Spaces keep the lines off the fast path, so that a portion can end between any two lines.
LARGE = {
    "by position": "7 ,1,a\n8 ,2,b\n9 ,3,c\n",
    "with a column that was ignored": "id,user,note,place\n7 ,1,x,a\n8 ,2,y,b\n9 ,3,z,c\n",
    "with the columns of the earlier release": "id,user\n7 ,2\n8 ,2\n9 ,3\n",
}


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("portions", [1, 2, 3])
def test_a_large_load_that_an_earlier_release_began_begins_again(loader: Loader, body: str, portions: int) -> None:
    wanted = outcome(loader.upload(ORDERS, body))
    found = loader.orders()
    with loader.shop.database.session() as session:
        session.run(f"DELETE FROM {ORDERS.table}")
    loader.shop.insert(ORDERS, {"id": 7, **KNOWN})
    event = loader.landing.put("order_2.csv", body)
    for _ in range(portions):
        assert loader.once(EARLIER, event, portion=1) is None
    assert loader.landing.scalar("SELECT lines FROM staged_loads") == portions
    done: Outcome | None = None
    for _ in range(9):
        done = done or loader.once(ORDERS, event, portion=1)
    assert (outcome(done), loader.orders(), loader.rejects()) == (wanted, found, [])
    assert loader.landing.rows("SELECT load_id FROM staged_loads") == []


def test_a_large_load_goes_on_where_another_invocation_stopped(loader: Loader) -> None:
    event = loader.landing.put("order.csv", "id,place,user\n7,a,1 \n8,,2 \n9,c,3 \n")
    for lines in range(1, 5):
        assert loader.once(ORDERS, event, portion=1) is None
        assert loader.landing.scalar("SELECT lines FROM staged_loads") == lines
    assert outcome(loader.once(ORDERS, event, portion=1)) == (3, 2, 1, 0, 0, 0)
    assert {row["place"] for row in loader.orders().values()} == {"a", None, "c"}


def test_the_format_of_a_file_that_leaves_out_columns_lists_no_column_as_ignored(loader: Loader) -> None:
    reading = FileReading.of_file(ORDERS, Peekable(io.BytesIO(b"id,user,note\n7,1,x\n")))
    assert reading.file_format.shown()["ignored_columns"] == ["note"]
