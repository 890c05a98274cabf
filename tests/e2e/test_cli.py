"""Tests the command line ./hireflow with the deployed stage."""

import gzip
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.venv import ROOT
from tests.e2e.cloud import PATIENCE, Cloud, until

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture
def run(cloud: Cloud, tmp_path: Path) -> Run:
    """Run ./hireflow in an empty folder. Its environment has only the name and the state folder of the stage."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("API_", "AWS_"))}
    stage = {"HIREFLOW_STATE_DIR": str(cloud.commands.state.folder), "STAGE": cloud.commands.stage}

    def hireflow(*words: str, **environ: str) -> Done:
        return subprocess.run(
            [ROOT / "hireflow", *words],
            cwd=tmp_path,
            env={**kept, **stage, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    return hireflow


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], str]:
    def written(name: str, text: str) -> str:
        data = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return name

    return written


Write = Callable[[str, str], str]
PARENTS = {"departments.csv": "1,Staff\n2,Sales\n", "jobs.csv": "1,Clerk\n"}
HIRES = "1,Ann,2021-07-27,1,1\n2,Bo,2021-02-30,1,1\n3,Cy,2021-01-01,2,1\n"


def test_files_are_loaded_in_any_order_of_the_arguments(cloud: Cloud, run: Run, write: Write) -> None:
    names = [write("hired_employees.csv.gz", HIRES), *(write(name, text) for name, text in PARENTS.items())]
    done = run("upload", *names)
    assert done.returncode == 0, done.stderr
    assert "  3 received: 2 inserted, 0 updated, 0 unchanged, 0 superseded, 1 rejected" in done.stdout
    assert "2,Bo,2021-02-30,1,1" in done.stdout
    assert [row[0] for row in cloud.table("hired_employees")] == [1, 3]
    assert run("upload", names[0], "--strict").returncode == 1
    assert run("upload", names[1], "--strict").returncode == 0


def test_all_rejects_are_printed_as_in_the_reject_file(cloud: Cloud, run: Run, write: Write) -> None:
    before = cloud.newest_load()
    run("upload", write("jobs.csv", "".join(f"{n},\n" for n in range(1, 301)) + "1,Büro\n"))
    load = cloud.load(before + 1)
    done = run("rejects", str(load["id"]), "--ndjson")
    assert (done.returncode, done.stdout.encode()) == (0, cloud.reject_file(load))
    assert len(done.stdout.splitlines()) == load["rejected"] == 300
    assert "300" in run("rejects", str(load["id"])).stdout
    shown = json.loads(run("load", str(load["id"]), "--json").stdout)
    assert shown == load
    listed = json.loads(run("loads", "--dataset", "job", "--limit", "1", "--json").stdout)
    assert listed == [{name: value for name, value in load.items() if name != "reasons"}]  # a list has no reasons


def test_a_check_predicts_the_outcome_of_an_upload(cloud: Cloud, run: Run, write: Write) -> None:
    for name, text in PARENTS.items():
        run("upload", write(name, text))
    name, before = write("hired_employees.csv", HIRES * 50), cloud.newest_load()
    checked = run("check", name)
    assert checked.returncode == 0, checked.stderr
    assert run("check", name, "--strict").returncode == 1
    assert (cloud.newest_load(), cloud.table("hired_employees")) == (before, [])
    uploaded = run("upload", name)
    assert checked.stdout.splitlines()[1] == uploaded.stdout.splitlines()[1]
    assert "150 received: 2 inserted" in checked.stdout


def test_an_interrupted_upload_is_cancelled(cloud: Cloud, run: Run, tmp_path: Path) -> None:
    with (tmp_path / "jobs.csv").open("wb") as file:
        file.truncate(1 << 30)  # the upload takes long enough to interrupt it; the sparse file needs no disk space
    before = cloud.newest_load()
    own = {**os.environ, "API_URL": cloud.env["API_URL"], "API_TOKEN": cloud.env["API_TOKEN"]}
    command: list[str | Path] = [ROOT / "hireflow", "upload", "jobs.csv"]
    with subprocess.Popen(command, cwd=tmp_path, env=own, stderr=subprocess.PIPE, text=True) as sending:
        until(
            lambda: cloud.sql("SELECT coalesce(max(id), 0) FROM loads")[0][0] > before, "a load that waits for its file"
        )
        sending.send_signal(signal.SIGINT)
        errors = sending.communicate(timeout=PATIENCE)[1]
    assert (sending.returncode, errors) == (130, f"load {before + 1} cancelled\n")
    load = cloud.load(before + 1)
    assert (load["status"], load["error"].partition(";")[0]) == ("skipped", "cancelled before its file arrived")
    assert cloud.send("DELETE", f"/uploads/{before + 1}").status == 204
    assert "Contents" not in cloud.s3.list_objects_v2(
        Bucket=cloud.env["LANDING_BUCKET"], Prefix=f"uploads/{before + 1}/"
    )


def test_reports_are_those_of_the_api(cloud: Cloud, run: Run, write: Write) -> None:
    run("upload", write("hired_employees.csv", HIRES), *(write(name, text) for name, text in PARENTS.items()))
    report = cloud.get("/department/hires/quarterly/2021").body
    assert json.loads(run("report", "quarterly", "2021", "--json").stdout) == report
    csv = run("report", "quarterly", "2021", "--csv").stdout
    assert csv.splitlines()[0] == '"department","job","q1","q2","q3","q4"'
    assert csv.splitlines()[1:] == ['"Sales","Clerk",1,0,0,0', '"Staff","Clerk",0,0,1,0']
    named = json.loads(run("report", "quarterly", "2021", "--department", "staff", "--json").stdout)
    assert named == [row for row in report if row["department"] == "Staff"] != []
    unknown = run("report", "quarterly", "2021", "--department", "Stafff")
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "error: 422 Unprocessable content: there is no department 'Stafff': similar names are 'Staff'\n",
    )
    assert run("report", "quarterly", "--from", "2020", "--to", "2021").stdout.splitlines()[1].split()[0] == "2021"


def test_a_restore_brings_deleted_rows_back(cloud: Cloud, run: Run, write: Write) -> None:
    run("upload", write("hired_employees.csv", HIRES), *(write(name, text) for name, text in PARENTS.items()))
    whole = [cloud.table(name) for name in ("departments", "jobs", "hired_employees")]
    point = run("backup").stdout.strip()
    cloud.backups.append(point)
    assert json.loads(run("backups", "--json").stdout)[0]["restore_point"] == point
    cloud.sql("TRUNCATE departments, jobs, hired_employees CASCADE")
    refused = run("restore", "all")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    done = run("restore", "hired_employees", "departments", "jobs", "--point", point, "--yes")
    assert done.returncode == 0, done.stderr
    assert [cloud.table(name) for name in ("departments", "jobs", "hired_employees")] == whole


def test_the_log_of_a_load_is_found_by_the_load_id(cloud: Cloud, run: Run, write: Write) -> None:
    before = cloud.newest_load()
    run("upload", write("jobs.csv", "1,Clerk\n"))
    load_id = str(before + 1)
    lines = until(lambda: run("logs", "--load", load_id, "--since", "1h", "--json").stdout.splitlines(), "a line")
    logged = [json.loads(line) for line in lines]
    assert any(line["message"] == "load succeeded" and line["load_id"] == before + 1 for line in logged)
    assert any(line.get("route") == "/uploads" for line in logged), "the line of the request has no load id"
    shown = run("logs", "--load", load_id, "--since", "1h", "--function", "ingest")
    assert f"load succeeded  load_id={load_id} " in shown.stdout
    assert "METRIC" not in shown.stdout
    assert "METRIC" in run("logs", "--load", load_id, "--since", "1h", "--metrics").stdout


def test_tokens_are_created_listed_and_revoked(cloud: Cloud, run: Run) -> None:
    token = run("token", "new", "reader", "--note", "of a test").stdout.strip()
    assert token.startswith("hf_")
    remote = {"API_URL": cloud.env["API_URL"], "API_TOKEN": token}
    assert run("loads", **remote).returncode == 0
    [listed] = [entry for entry in json.loads(run("token", "list", "--json").stdout) if entry["id"] in token]
    assert (listed["role"], listed["note"], listed["revoked_at"]) == ("reader", "of a test", None)
    assert run("token", "revoke", listed["id"]).returncode == 0
    assert "revoked" in run("token", "revoke", token).stdout


def test_health_and_the_address_of_the_dashboard_are_printed(cloud: Cloud, run: Run) -> None:
    done = run("health")
    assert done.returncode == 0
    assert "database\tok" in done.stdout.splitlines()
    assert run("open").stdout == f"{cloud.env['API_URL']}/\n"
