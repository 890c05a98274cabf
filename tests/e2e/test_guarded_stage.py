"""Tests a stage that requires tokens. It uses the services of another stage, and its functions read their database
login from a secret."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from infra.deploy import removal
from infra.deploy.target import APP
from infra.errors import CloudError
from infra.local.commands import Commands
from infra.local.state import State
from infra.venv import ROOT
from tests.e2e.browser import launched, visiting
from tests.e2e.cloud import Cloud, counts

STAGE = "localstack"


@pytest.fixture(scope="module")
def guarded(cloud: Cloud, stage: str | None) -> Iterator[Cloud]:
    """Deploy a second stage on the services (AWS and Postgres) of the first stage."""
    if stage is not None:
        pytest.skip("the tests did not start these services, so they deploy no other stage on them")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL"):
            patch.setenv(name, cloud.env[name])
        patch.delenv("HIREFLOW_AUTH", raising=False)
        commands = Commands(STAGE, ROOT, State(cloud.commands.state.folder / "guarded"), print)
        commands.up()
        yield Cloud(commands, commands.state.read_env())
        commands.clean()


def test_a_request_needs_a_token_of_the_right_role(guarded: Cloud) -> None:
    assert guarded.send("GET", "/loads", headers={"Authorization": ""}).status == 401
    assert guarded.send("GET", "/health", headers={"Authorization": ""}).body == {"status": "ok"}
    created = guarded.commands.invoke("tokens", {"action": "create", "role": "reader"})
    reader = {"Authorization": f"Bearer {created['token']}"}
    assert guarded.send("GET", "/loads", headers=reader).status == 200
    assert guarded.send("POST", "/job/upload", b"{}", {**reader, "Content-Type": "application/json"}).status == 403
    assert (
        guarded.post("/job/upload", {"id": 1, "job": "Clerk"}).status == 201
    )  # sent with the token of the env file, which has the role operator
    guarded.commands.invoke("tokens", {"action": "revoke", "token": created["id"]})
    assert guarded.send("GET", "/loads", headers=reader).status == 401


def test_the_command_line_names_the_role_that_a_token_lacks(guarded: Cloud, tmp_path: Path) -> None:
    def run(*words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        stage = {"STAGE": STAGE, "HIREFLOW_STATE_DIR": str(guarded.commands.state.folder), "API_URL": ""}
        command: list[str | Path] = [ROOT / "hireflow", *words]
        return subprocess.run(
            command, env={**os.environ, **stage, **changes}, capture_output=True, text=True, check=False, timeout=60
        )

    (tmp_path / "jobs.csv").write_text("1,Clerk\n")
    upload = ("upload", str(tmp_path / "jobs.csv"))
    reader = run("token", "new", "reader").stdout.strip()
    refused = run(*upload, API_TOKEN=reader)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "403 Forbidden: this request needs the role writer" in refused.stderr
    assert "use a token with that role or right" in refused.stderr
    assert run("loads", API_TOKEN=reader).returncode == 0
    assert "401 Unauthenticated: the token is not known" in run("loads", API_TOKEN=f"{reader}x").stderr
    assert run(*upload).returncode == 0  # the command takes the token of the env file, which has the role operator


def test_a_reader_sees_rejected_rows_only_with_the_right_to_see_rows(guarded: Cloud) -> None:
    def make(*variables: str) -> str:
        stage = {"STAGE": STAGE, "HIREFLOW_STATE_DIR": str(guarded.commands.state.folder)}
        done = subprocess.run(
            ["make", "-s", "token", "ROLE=reader", *variables],
            cwd=ROOT, env={**os.environ, **stage}, capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        return done.stdout.strip()

    load = guarded.upload("departments.csv", "1,Staff\nx,Ada\n")
    address = f"/loads/{load['id']}/rejects"
    seen = {
        rows: guarded.send("GET", address, headers={"Authorization": f"Bearer {make(*rows)}"})
        for rows in ((), ("ROWS=0",), ("ROWS=1",))
    }
    assert [response.status for response in seen.values()] == [403, 403, 200]
    assert seen["ROWS=1",].body["rejects"][0]["raw"] == "x,Ada"
    assert "Ada" not in json.dumps(seen[()].body)
    listed = guarded.commands.invoke("tokens", {"action": "list"})
    assert [entry["rows"] for entry in listed][:3] == [True, False, False]


def test_files_are_loaded_with_the_login_of_the_secret(guarded: Cloud) -> None:
    assert counts(guarded.upload("departments.csv", "1,Staff\n,x\n")) == (2, 1, 0, 0, 0, 1)


def test_no_function_has_a_password_in_its_environment(guarded: Cloud) -> None:
    functions = guarded.commands.deployed().client("lambda")
    password = guarded.env["DATABASE_URL"].split(":")[2].split("@")[0]
    shown = json.dumps(functions.list_functions()["Functions"])
    of_stage = [f for f in json.loads(shown) if f["FunctionName"].startswith(f"{APP}-{STAGE}-")]
    assert len(of_stage) >= 5
    assert password not in json.dumps(of_stage)
    assert "pg8000://" not in json.dumps(of_stage)


def test_users_sign_in_and_see_what_their_role_allows(guarded: Cloud) -> None:
    made = guarded.commands.invoke("tokens", {"action": "create", "role": "reader"})
    with launched() as browser, visiting(browser, guarded.env["API_URL"]) as visit:
        visit.expected.append("status of 401")
        visit.page.goto(f"{visit.url}/#/upload")
        token, sign_in = visit.page.get_by_label("Token"), visit.page.get_by_role("button", name="Sign in")
        expect(token).to_be_focused()
        assert visit.page.locator("#panel").inner_text() == "", "nothing is shown without a token"
        assert visit.violations() == []
        token.fill("hf_wrong")
        sign_in.click()
        expect(visit.page.get_by_role("alert").first).to_have_text("This token is unknown or revoked.")
        token.fill(made["token"])
        sign_in.click()
        expect(visit.page.locator("#panel")).to_contain_text("Your token has the role reader.")
        assert visit.page.locator("#files").count() == 0
        assert made["token"] not in visit.page.content()
        visit.page.get_by_role("button", name="Sign out").click()
        expect(token).to_be_visible()
        token.fill(guarded.env["API_TOKEN"])
        sign_in.click()
        expect(visit.page.locator("#files")).to_be_visible()
        visit.page.reload()  # after a reload, the tab is still signed in
        expect(visit.page.locator("#files")).to_be_visible()
        guarded.commands.invoke("tokens", {"action": "revoke", "token": made["id"]})


def test_another_up_keeps_the_token(guarded: Cloud) -> None:
    guarded.commands.up()
    assert guarded.commands.state.read_env()["API_TOKEN"] == guarded.env["API_TOKEN"]


def test_the_stage_is_not_deployed_without_authentication(guarded: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIREFLOW_AUTH", "off")
    with pytest.raises(CloudError, match="without authentication"):
        guarded.commands.up()


def test_clean_deletes_the_stage_but_not_the_services(guarded: Cloud) -> None:
    """This must be the last test of this file, because it deletes the stage."""
    target = guarded.commands.deployed()
    assert len(removal.apis(target)) == 1
    guarded.commands.clean()
    assert removal.apis(target) == []
    names = [function["FunctionName"] for function in target.client("lambda").list_functions()["Functions"]]
    assert [name for name in names if name.startswith(f"{APP}-{STAGE}")] == []
    assert guarded.s3.head_bucket(Bucket=guarded.env["LANDING_BUCKET"])
    assert not guarded.commands.state.exists()
