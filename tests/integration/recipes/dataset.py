"""Tests that the new dataset `vacancies` can do everything that the other datasets can do."""

from datetime import timedelta

from chalicelib.backups.run import run_backup
from chalicelib.core.datasets import DATASETS
from cli import datasets as command_line
from tests.integration.backups.test_restore_load import restore
from tests.integration.http_api import Api
from tests.integration.landing import Landing, counts
from tests.openapi import described

FILE = "1,Data Engineer,2026-01-05T09:00:00Z,1\n2,,2026-01-05T09:00:00Z,1\n3,Analyst,2026-02-01T09:00:00Z,1\n"
MONTH = timedelta(days=30)


def test_a_file_is_loaded_and_its_bad_row_rejected(api: Api, landing: Landing) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    load = landing.upload("vacancies_2026.csv", FILE)
    assert (load["dataset"], load["status"], counts(load)) == ("vacancies", "succeeded", (3, 2, 0, 0, 0, 1))
    assert [reject["reasons"] for reject in landing.rejects(load)] == [["vacancy is missing"]]
    assert api.get("/loads?dataset=vacancies").body["loads"][0]["id"] == load["id"]


def test_a_row_waits_for_its_department(api: Api, landing: Landing) -> None:
    landing.upload("vacancies.csv", "1,Data Engineer,2026-01-05T09:00:00Z,7\n")
    assert landing.rows("SELECT id FROM vacancies") == []
    landing.upload("departments.csv", "7,Sales\n")
    assert landing.rows("SELECT id, vacancy FROM vacancies") == [(1, "Data Engineer")]


def test_rows_can_be_sent_to_the_api(api: Api) -> None:
    api.post("/department/upload", {"id": 1, "department": "Sales"})
    row = {"vacancy": "Data Engineer", "opened": "2026-01-05T09:00:00Z", "department_id": 1}
    assert api.post("/vacancy/upload", row).status == 201
    batch = api.post("/vacancy/upload/batch", {"data": [row, {**row, "department_id": 7}]}).body
    assert batch["inserted"] == 1
    assert [reject["reasons"] for reject in batch["rejected"]] == [["department_id 7 does not exist"]]


def test_the_openapi_document_describes_the_dataset() -> None:
    document = described().document
    assert {"/vacancy/upload", "/vacancy/upload/batch", "/vacancies/backup/restore"} <= document["paths"].keys()
    assert list(document["components"]["schemas"]["Vacancy"]["properties"]) == [
        "id",
        "vacancy",
        "opened",
        "department_id",
    ]


def test_a_backup_holds_the_rows_and_a_restore_brings_them_back(api: Api, landing: Landing) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    landing.upload("vacancies.csv", FILE)
    before = landing.rows("SELECT * FROM vacancies ORDER BY id")
    run = run_backup(landing.database, landing.s3.storage, retention=MONTH)
    assert run.tables["vacancies"].rows == 2
    with landing.database.session() as session:
        session.run("DELETE FROM vacancies")
    assert counts(restore(landing, "vacancies")) == (2, 2, 0, 0, 0, 0)
    assert landing.rows("SELECT * FROM vacancies ORDER BY id") == before
    assert api.post("/vacancies/backup/restore").status == 202


def test_the_command_line_knows_the_dataset() -> None:
    known = command_line.by_route("vacancy")
    assert known is command_line.by_file_name("vacancies_2026.csv") is command_line.DATASETS["vacancies"]
    assert list(command_line.DATASETS) == list(DATASETS)
