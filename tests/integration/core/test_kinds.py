"""Tests with a real Postgres that it stores the same value of each kind from files, requests and restore points, and
that a backup reads it unchanged."""

import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.cloud.database import Database, Session
from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.kinds.ids import CLEAN_DECIMALS
from chalicelib.core.kinds.table import Kind
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.pg_copy import BINARY, LineFormat, binary_rows
from tests.kinds import ALL, name_of, outcome, texts

HEADER = 19 + 2 + 4  # bytes before the first field in COPY's binary format


@pytest.fixture(scope="module")
def session(postgres: Any) -> Iterator[Session]:
    database = Database(postgres.url, tls="disable")
    with database.session() as opened:
        yield opened
    database.close()


class Table:
    """A temporary table with a column of one kind."""

    def __init__(self, session: Session, kind: Kind) -> None:
        self.session, self.kind = session, kind
        self.dataset = Dataset("t", "t", (Column("id", Kind.ID), Column("a", kind)))
        session.run(f"DROP TABLE IF EXISTS t; CREATE TEMPORARY TABLE t (id integer, a {kind.sql})")

    def copied(self, data: bytes, options: str) -> list[str]:
        """Return the values as text after a COPY into the empty table."""
        self.session.run("TRUNCATE t")
        self.session.copy_in(f"COPY t FROM STDIN ({options})", [data])
        return [value for _, value in self.session.run("SELECT id, a::text FROM t ORDER BY id")]

    def backed_up(self) -> list[Any]:
        """Return the values in the written form, as a backup reads them."""
        message = io.BytesIO()
        query = f"SELECT {self.kind.aggregate('a')} FROM (SELECT a FROM t ORDER BY id) AS s"
        self.session.copy_out(f"COPY ({query}) TO STDOUT (FORMAT binary)", message)
        return list(self.kind.written(memoryview(message.getvalue()[HEADER:-2])))


def lines(fields: Sequence[str]) -> bytes:
    return "".join(f"{number}\t{field}\n" for number, field in enumerate(fields)).encode()


@pytest.mark.parametrize("kind", ALL, ids=name_of)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_value_is_the_same_from_a_clean_field_a_checked_field_a_request_and_a_restore_point(
    session: Session, kind: Kind, data: st.DataObject
) -> None:
    sent = data.draw(st.lists(texts(kind), min_size=1, max_size=30))
    outcomes = [(text, *outcome(kind.check_in_file, "iso", text)[:2]) for text in sent]
    accepted = [(text, checked) for text, state, checked in outcomes if state == "valid"]
    if not accepted:
        return
    checked = [value for _, value in accepted]
    table = Table(session, kind)
    line = LineFormat(CsvLayout.by_position(table.dataset, b"\t"))
    rows = b"".join(line.row((number, value)) for number, value in enumerate(checked))
    wanted = table.copied(rows, "FORMAT text")

    # The written form of a backup, and the stored form of a restore
    stored = [kind.stored(value) for value in checked]
    written = table.backed_up()
    is_bytes = kind.avro_plain == "bytes"
    assert [int.from_bytes(value, "big", signed=True) if is_bytes else value for value in written] == stored
    assert not is_bytes or {len(value) for value in written} <= {8, 16}
    body = BINARY.head + binary_rows(table.dataset, [range(len(stored)), stored]) + BINARY.tail
    assert table.copied(body, BINARY.options) == wanted

    # The JSON of a request
    sent_rows = json.dumps([{"id": number, "a": value} for number, value in enumerate(checked)])
    query = f"SELECT a::text FROM json_to_recordset(CAST(:rows AS json)) AS s (id integer, a {kind.sql}) ORDER BY id"
    assert [value for (value,) in session.run(query, rows=sent_rows)] == wanted

    # Clean fields, which COPY takes without a check
    clean = re.compile(kind.clean(rb"\t"))
    places = [place for place, (text, _) in enumerate(accepted) if clean.fullmatch(text.encode())]
    whole = re.compile(b"(" + kind.whole + b")" + CLEAN_DECIMALS) if kind.whole else None
    fields = [accepted[place][0].encode() for place in places]
    fields = [whole.sub(rb"\1", field) if whole else field for field in fields]
    assert table.copied(lines([field.decode() for field in fields]), "FORMAT text") == [wanted[at] for at in places]


@pytest.mark.parametrize("kind", ALL, ids=name_of)
def test_the_checked_form_can_be_a_default(session: Session, kind: Kind) -> None:
    checked = kind.check(kind.example)
    session.run(f"DROP TABLE IF EXISTS t; CREATE TEMPORARY TABLE t (id integer, a {kind.sql} DEFAULT '{checked}')")
    session.run("INSERT INTO t (id) VALUES (1)")
    assert session.scalar(f"SELECT a = CAST('{checked}' AS {kind.sql}) FROM t") is True
