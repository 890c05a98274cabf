"""Tests the verdict on a whole file, and the format, the notices and the waiting rows that a load shows."""

import logging
from typing import Any

import pytest

from chalicelib.core.datasets import DATASETS
from chalicelib.core.declarations import Declarations
from chalicelib.ingest.dryrun import dry_run
from chalicelib.loads.outcomes import Ended
from chalicelib.monitoring.metrics import Metrics
from tests.integration.backups.test_restore_load import back_up, restore
from tests.integration.http_api import Api
from tests.integration.ingest.test_continuing import PARENTS, Relay
from tests.integration.landing import GRACE, Landing, Row, counts

BROKEN = "x,Clerk\n,Smith\ny,Baker\n"
LATIN = "1,Cook\n2,Caf\xe9 manager\n3,B\xe4cker\n".encode("latin-1")
AT = "to_char(datetime AT TIME ZONE 'UTC', 'MM-DD HH24:MI:SS')"
COUNTS = ("received", "inserted", "updated", "unchanged", "superseded", "rejected")
NO_HEADER = "the file has no header, so columns were taken by their position: add a header with their names"
SAVE = "declare encoding=windows-1252 or save the file as CSV UTF-8"


def loaded(
    landing: Landing, key: str, body: bytes | str, *, by_relay: bool, **metadata: str
) -> tuple[Row, list[Ended]]:
    """Load a file in one invocation, or (`by_relay`) in one invocation for each line. Return the load, and what the
    worker reported at the end of the load."""
    relay = Relay(landing, lines=1 if by_relay else 10**6)
    load = relay.run(landing.put(key, body, **metadata))
    assert bool(relay.handovers) == by_relay
    return load, relay.ended


# --- no row could be loaded


@pytest.mark.parametrize("by_relay", [False, True])
def test_a_file_of_which_no_row_could_be_loaded_fails_at_once_and_keeps_its_rejects(
    landing: Landing, api: Api, caplog: pytest.LogCaptureFixture, by_relay: bool
) -> None:
    load, ended = loaded(landing, "jobs.csv", BROKEN, by_relay=by_relay)
    assert load["error"] == (
        f"no row could be loaded: id is not a whole number from 1 to 2147483647 (2 of 3 rejected rows); {NO_HEADER}"
    )
    assert (load["status"], load["attempts"], counts({**load, "rejected": 3})) == ("failed", 1, (3, 0, 0, 0, 0, 3))
    assert landing.rows("SELECT * FROM jobs") == []
    assert [reject["raw"] for reject in landing.rejects(load)] == BROKEN.split()
    shown = api.get(f"/loads/{load['id']}/rejects").body
    assert (shown["rejected"], len(shown["rejects"]), shown["url"] is not None) == (3, 3, True)
    assert shown["reasons"][0]["count"] == 2
    assert landing.rows("SELECT given_up FROM loads") == [(False,)]
    assert landing.rows("SELECT * FROM staged_loads") == []
    assert [(end.status, end.counts.rejected) for end in ended] == [("failed", 3)]
    with caplog.at_level(logging.INFO):
        logging.getLogger("hireflow").addHandler(caplog.handler)
        Metrics("test").of_load(ended[0])
        logging.getLogger("hireflow").removeHandler(caplog.handler)
    assert caplog.records[-1].__dict__["LoadsFailed"] == 1


def test_a_verdict_is_final(landing: Landing) -> None:
    event = landing.put("jobs.csv", BROKEN)
    for _ in range(2):
        landing.deliver(event)  # no exception is raised, so the event does not become a dead letter
    assert (landing.loads(), landing.load()["status"], landing.load()["attempts"]) == (1, "failed", 1)
    assert landing.upload("jobs.csv", "1,Clerk\n")["status"] == "succeeded"


@pytest.mark.parametrize("by_relay", [False, True])
def test_a_file_whose_rows_wait_for_their_parents_succeeds(landing: Landing, api: Api, by_relay: bool) -> None:
    rows = "1,Ann,2021-07-27,1,1\n2,Bo,2021-07-27,2,1\n1,Ann,2021-07-28,1,1\nx,Cy,2021-07-27,1,1\n"
    load, _ = loaded(landing, "hired_employees.csv", rows, by_relay=by_relay)
    assert (load["status"], load["rejected"], load["waiting"]) == ("succeeded", 4, 3)
    for key, body in PARENTS.items():
        landing.upload(key, body)
    shown = api.get(f"/loads/{load['id']}").body
    assert (shown["rejected"], shown["waiting"], shown["resolved"]) == (4, 0, 3), (
        "the row with id 1 stands in two lines, and both lines are resolved"
    )
    assert [reject["line"] for reject in api.get(f"/loads/{load['id']}/rejects").body["rejects"]] == [4]


def test_rows_wait_until_the_grace_period_ends(landing: Landing, api: Api) -> None:
    load = landing.upload("hired_employees.csv", "1,Ann,2021-07-27,1,1\n2,Bo,2021-07-27,2,1\n")
    assert api.get("/loads").body["loads"][0]["waiting"] == 2
    landing.rows("UPDATE orphans SET rejected_at = now() - interval '1 hour' WHERE id = 1 RETURNING id")
    assert api.get("/loads").body["loads"][0]["waiting"] == 1
    later = landing.upload("hired_employees-2.csv", "2,Bo,2021-07-27,2,1\n")
    assert [api.get(f"/loads/{each['id']}").body["waiting"] for each in (load, later)] == [0, 1]


@pytest.mark.parametrize("body", ["", "\n\n", "id,job\n", "ID;Job\r\n"])
def test_a_file_without_records_succeeds(landing: Landing, body: str) -> None:
    load = landing.upload("jobs.csv", body)
    assert (load["status"], load["error"], counts(load)) == ("succeeded", None, (0,) * 6)


def test_a_restore_has_no_verdict_and_no_notices(landing: Landing) -> None:
    """An older restore point may contain rows that break a rule of this release."""
    landing.rows("INSERT INTO jobs VALUES (0, 'Clerk') RETURNING id")
    back_up(landing)
    landing.rows("DELETE FROM jobs RETURNING id")
    load = restore(landing, "jobs")
    assert (load["status"], load["error"], counts(load)) == ("succeeded", None, (1, 0, 0, 0, 0, 1))
    assert (load["kind"], load["format"], load["notices"]) == ("restore", None, [])


# --- too many rejects


@pytest.mark.parametrize("by_relay", [False, True])
@pytest.mark.parametrize(
    ("max_rejected", "fails"),
    [("1", False), ("0", True), ("25%", False), ("24.9%", True), ("100%", False)],
)
def test_more_rejects_than_are_declared_fail_the_file(
    landing: Landing, by_relay: bool, max_rejected: str, fails: bool
) -> None:
    body = "1,Clerk\n2,Smith\nx,Baker\n3,Cook\n"
    load, _ = loaded(landing, "jobs.csv", body, by_relay=by_relay, max_rejected=max_rejected)
    if fails:
        assert load["error"].startswith(
            f"1 of 4 rows were rejected, more than max-rejected={max_rejected} allows: id is"
        )
        assert [load[name] for name in COUNTS] == [4, 0, 0, 0, 0, 1]
    assert load["status"] == ("failed" if fails else "succeeded")
    assert len(landing.rows("SELECT * FROM jobs")) == (0 if fails else 3)
    assert [reject["line"] for reject in landing.rejects(load)] == [3]


@pytest.mark.parametrize("bad", ["x,Baker\n", "3\n"])
def test_delimiter_and_columns_are_no_advice_if_other_rows_could_be_read(landing: Landing, bad: str) -> None:
    load = landing.upload("jobs.csv", "1,Clerk\n2,Smith\n" + bad, max_rejected="0")
    assert load["status"] == "failed"
    assert ";" not in load["error"]


def test_a_share_is_exact(landing: Landing) -> None:
    """As a float, 29 % of 100 rows would be fewer than 29 rows."""
    body = "".join(f"{row_id},Clerk\n" for row_id in range(1, 72)) + "x,Baker\n" * 29
    assert landing.upload("jobs.csv", body, max_rejected="29%")["status"] == "succeeded"
    assert landing.upload("jobs.csv", body, max_rejected="28.999999%")["status"] == "failed"


def test_waiting_rows_do_not_count_towards_max_rejected(landing: Landing) -> None:
    rows = "1,Ann,2021-07-27,1,1\nx,Bo,2021-07-27,1,1\n"
    load = landing.upload("hired_employees.csv", rows, max_rejected="1")
    assert (load["status"], load["rejected"], load["waiting"]) == ("succeeded", 2, 1)
    refused = landing.upload("hired_employees-2.csv", rows.replace("1,Ann", "7,Ann"), max_rejected="0")
    assert (refused["status"], refused["received"], refused["rejected"], refused["waiting"]) == ("failed", 2, 1, 0)
    assert landing.rows("SELECT id FROM orphans") == [(1,)]


def test_a_missing_parent_is_not_the_reason_for_a_verdict(landing: Landing) -> None:
    """A row that lacks only its parent would wait for it."""
    load = landing.upload("hired_employees.csv", "x,Ann,2021-07-27,1,1\ny,Bo,soon,1,1\n,Cy,2021-07-27,1,1\n")
    assert load["error"].startswith("no row could be loaded: id is not a whole number from 1 to 2147483647 (2 of 3")


def test_a_file_with_more_columns_and_no_header_fails_with_advice_to_add_one(landing: Landing) -> None:
    load = landing.upload("jobs.csv", "1,Clerk,x\n2,Smith,y\n")
    assert load["error"] == f"no row could be loaded: expected 2 fields, found more (each row); {NO_HEADER}"


# --- notices


@pytest.mark.parametrize("by_relay", [False, True])
def test_a_load_says_how_its_file_was_understood(landing: Landing, api: Api, by_relay: bool) -> None:
    load, _ = loaded(landing, "jobs.csv", "Job;Note;ID\nClerk;x;1\nCook;y;2\nBaker;;3\n", by_relay=by_relay)
    shown = api.get(f"/loads/{load['id']}").body
    assert (shown["kind"], shown["notices"]) == ("csv", [])
    assert shown["format"] == {
        "type": "csv",
        "delimiter": ";",
        "encoding": "utf-8",
        "header": True,
        "ignored_columns": ["Note"],
    }
    assert [each["id"] for each in api.get("/loads?kind=csv").body["loads"]] == [load["id"]]
    assert api.get("/loads?kind=xlsx").body["loads"] == []


@pytest.mark.parametrize("by_relay", [False, True])
def test_undecodable_rows_get_a_notice_that_names_the_likely_encoding(landing: Landing, by_relay: bool) -> None:
    load, _ = loaded(landing, "jobs.csv", LATIN, by_relay=by_relay)
    assert (load["status"], load["received"], load["rejected"]) == ("succeeded", 3, 2)
    assert load["notices"] == [f"2 rows hold bytes that are not valid UTF-8; the file looks like windows-1252: {SAVE}"]
    declared, _ = loaded(landing, "jobs-2.csv", LATIN, by_relay=by_relay, encoding="windows-1252")
    assert (declared["rejected"], declared["notices"]) == (0, [])


def test_a_file_whose_rows_are_all_undecodable_fails_and_names_the_likely_encoding(landing: Landing) -> None:
    load = landing.upload("jobs.csv", LATIN.split(b"\n", 1)[1])
    assert load["error"] == (
        f"no row could be loaded: job is not valid UTF-8 (each row); the file looks like windows-1252: {SAVE}"
    )


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_fails_with_advice_to_declare_it(landing: Landing, encoding: str) -> None:
    body = "id,job\n1,Clerk\n2,Smith\n".encode(encoding)
    name = encoding.replace("-16-", "-16")
    load = landing.upload("jobs.csv", body)
    assert load["status"] == "failed"
    assert f"declare encoding={name} or save" in load["error"]
    again = landing.upload("jobs.csv", body, encoding=name)
    assert (again["status"], again["inserted"]) == ("succeeded", 2)


@pytest.mark.parametrize("by_relay", [False, True])
def test_words_that_may_mean_a_missing_value_are_stored_as_text_and_counted(landing: Landing, by_relay: bool) -> None:
    body = "1,NULL\n2,null\n3,None\n4,Nonesuch\n5,N/A\n6,NaN\n7,#N/A\nNULL,Clerk\n"
    load, _ = loaded(landing, "jobs.csv", body, by_relay=by_relay)
    assert (load["status"], load["inserted"], load["rejected"]) == ("succeeded", 6, 2)
    assert load["notices"] == [
        "these words were read as text: 2 × NULL, 1 × None, 1 × NaN, 1 × N/A;"
        " leave a field empty if its value is missing"
    ]


# --- dates


@pytest.mark.parametrize(("order", "day"), [("dmy", "05/07/2021"), ("mdy", "07/05/2021"), ("mdy", "7/5/2021")])
def test_dates_are_read_in_the_declared_order(landing: Landing, order: str, day: str) -> None:
    for key, body in PARENTS.items():
        landing.upload(key, body)
    others = [day.replace("/", "."), day.replace("/", "-"), f"{day} 16:02", f"{day} 16:02:08", "2021-07-05T16:02:08Z"]
    body = "".join(f"{row_id},Ann,{text},1,1\n" for row_id, text in enumerate([day, *others], 1))
    load = landing.upload("hired_employees.csv", body, dates=order)
    assert (load["status"], load["inserted"]) == ("succeeded", 6)
    stored = landing.rows(f"SELECT {AT} FROM hired_employees ORDER BY id")
    midnight = "07-05 00:00:00"
    assert [at for [at] in stored] == [midnight] * 3 + ["07-05 16:02:00", "07-05 16:02:08", "07-05 16:02:08"]


def test_without_a_declaration_local_dates_are_rejected_with_advice(landing: Landing) -> None:
    load = landing.upload("hired_employees.csv", "1,Ann,27/07/2021,1,1\n2,Bo,07/27/2021 16:02,1,1\n")
    reason = (
        "datetime is not a date-time: write 2021-07-27 or 2021-07-27T16:02:08Z, or declare dates=dmy (27/07/2021) or"
        " dates=mdy (07/27/2021) for the file"
    )
    assert load["status"] == "failed"
    assert [reject["reasons"][0] for reject in landing.rejects(load)] == [reason] * 2
    wrong = landing.upload("hired_employees.csv", "2,Bo,07/27/2021 16:02,1,1\n", dates="dmy")
    assert "as dates=dmy is declared" in wrong["error"]


def test_an_unknown_declaration_fails_the_load(landing: Landing) -> None:
    load = landing.upload("jobs.csv", "1,Clerk\n", dates="ymd")
    assert (load["status"], load["attempts"]) == ("failed", 1)
    assert load["error"].startswith("a declaration in the object's metadata is invalid: dates 'ymd' is not known")


# --- the check


@pytest.mark.parametrize(
    ("body", "declared"),
    [(BROKEN, {}), ("1,Clerk\nx,Smith\n", {"max-rejected": "0"}), ("1,Clerk\n2,NULL\n", {}), (LATIN, {})],
)
def test_a_check_says_what_the_verdict_would_be(landing: Landing, body: Any, declared: dict[str, str]) -> None:
    data = body if isinstance(body, bytes) else body.encode()
    outcome = dry_run(landing.database, DATASETS["jobs"], data, limit=5, declared=Declarations.of(declared))
    load = landing.upload("jobs.csv", body, grace=GRACE, **declared)
    assert (outcome.status, outcome.error, outcome.notices) == (load["status"], load["error"], load["notices"])
    assert [vars(outcome.counts)[name] for name in COUNTS] == [load[name] for name in COUNTS]
