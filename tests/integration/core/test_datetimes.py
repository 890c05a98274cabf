"""Compares the date-times that Postgres stores with those of an independent parser, which shares no code with the
product."""

import random
import struct
from typing import Any

from chalicelib.cloud.database import Database
from tests.datetimes import EDGES, REFUSED, microseconds
from tests.integration.http_api import Api
from tests.integration.landing import Landing

MORE = [
    "2021-07-27T16:02:08Z",
    "2021-07-27 16:02:08",
    "0001-01-01T00:00:00Z",
    "0044-03-15 12:00:00",
    "0099-12-31T23:59:59",
    "1582-10-10T00:00:00Z",
    "1900-02-28T23:59:59.999999-14:59",
    "2000-02-29",
    "9999-12-31T23:59:59Z",
    "2021-07-27T16:02:08.1+05:30",
    "2021-07-27T00:00",
]


def samples() -> list[str]:
    """Return texts of every form. Each run uses the same texts."""
    seeded = random.Random(20210727)
    drawn = [
        f"{seeded.randint(1, 9999):04}-{seeded.randint(1, 12):02}-{seeded.randint(1, 28):02}{seeded.choice('Tt ')}"
        f"{seeded.randint(0, 23):02}:{seeded.randint(0, 59):02}:{seeded.randint(0, 59):02}"
        f"{seeded.choice(['', '.5', ',123456', '.1234567'])}"
        f"{seeded.choice(['', 'Z', 'z', ' UTC', '+05:30', '-0800', '+14'])}"
        for _ in range(300)
    ]
    return [*EDGES, *REFUSED, *MORE, *drawn, *(text.replace("-", "", 2) for text in drawn[:100])]


def stored(database: Database) -> dict[int, int]:
    """Return the stored date-times by the id of their row, in microseconds since 1970. Delete all rows."""
    with database.session() as session:
        sent = "SELECT id, encode(timestamptz_send(datetime), 'hex') FROM hired_employees"
        rows = session.run(sent)
        session.run("DELETE FROM hired_employees")
    since_2000 = 946_684_800_000_000
    return {row_id: struct.unpack("!q", bytes.fromhex(sent))[0] + since_2000 for row_id, sent in rows}


def parents(database: Database) -> None:
    with database.session() as session:
        session.run("INSERT INTO departments VALUES (1, 'Sales'); INSERT INTO jobs VALUES (1, 'Clerk')")


def row(row_id: int, text: str) -> dict[str, Any]:
    return {"id": row_id, "name": "Ann", "datetime": text, "department_id": 1, "job_id": 1}


def test_files_and_requests_store_the_same_moment(database: Database, landing: Landing, api: Api) -> None:
    parents(database)
    texts = dict(enumerate(samples(), 1))
    expected = {i: at for i, text in texts.items() if (at := microseconds(text)) is not None}
    assert len(expected) > 250
    for name in ("Ann", " Ann"):  # the first file takes the fast path, the second one takes the slow path
        body = "".join(
            f"{i},{name},{text},1,1\n" if "," not in text else f'{i},{name},"{text}",1,1\n' for i, text in texts.items()
        )
        landing.upload("hired_employees.csv", body)
        assert stored(database) == expected
    path = "/hired_employee/upload/batch"
    assert api.post(path, {"data": [row(i, text) for i, text in texts.items()]}).body["inserted"] == len(expected)
    assert stored(database) == expected
    usual = [
        i
        for i, text in texts.items()
        if i in expected and len(text) in (19, 20) and text[10] in "T " and text[-1] != "z"
    ]
    assert len(usual) > 20
    assert api.post(path, {"data": [row(i, texts[i]) for i in usual]}).body["inserted"] == len(usual)
    assert stored(database) == {i: expected[i] for i in usual}
    for i in [*range(1, len(EDGES) + len(REFUSED) + len(MORE) + 1)]:
        assert api.post("/hired_employee/upload", row(i, texts[i])).status == (201 if i in expected else 422), texts[i]
    assert stored(database) == {i: at for i, at in expected.items() if i <= len(EDGES) + len(REFUSED) + len(MORE)}
