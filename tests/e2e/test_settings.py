"""Tests that a stage keeps its settings, and that a wrong setting does not change the stage."""

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pytest

from cli.functions import FunctionFailed
from infra.deploy import project
from infra.errors import CloudError
from infra.local import ports
from infra.local.__main__ import main
from infra.local.commands import Commands
from infra.settings.declaration import COMPUTED, OF_USERS
from infra.venv import ROOT
from tests.e2e.cloud import Cloud, until


@pytest.fixture(autouse=True)
def ours(stage: str | None) -> None:
    if stage is not None:
        pytest.skip("this stage was not started by the tests, so they do not change it")


def with_environment(cloud: Cloud, env: Mapping[str, str]) -> Commands:
    """Return the commands of the stage with these environment variables in addition."""
    return replace(cloud.commands, env=env)


def variables(cloud: Cloud, function: str = "backup") -> dict[str, str]:
    deployed = cloud.commands.deployed()
    configuration = deployed.client("lambda").get_function_configuration(FunctionName=deployed.function(function))
    return dict(configuration["Environment"]["Variables"])


@contextmanager
def taken() -> Iterator[int]:
    """Occupy a free port. Yield its number."""
    with socket.socket() as server:
        server.bind((ports.HOST, 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("env", "error"),
    [
        ({"BACKUP_RETENTION_DAYS": "-1"}, "BACKUP_RETENTION_DAYS=-1 is not a number of days above 0"),
        ({"HIREFLOW_PROT": "8000"}, "did you mean HIREFLOW_PORT"),
        ({"HIREFLOW_PORT": "taken"}, "is in use by another process"),
        # The new port of Postgres is free. But Postgres must not move to this port, because the other setting is wrong.
        ({"HIREFLOW_PORT": "taken", "HIREFLOW_PG_PORT": "free"}, "is in use by another process"),
    ],
)
def test_a_stage_continues_to_work_if_a_setting_is_wrong(cloud: Cloud, env: dict[str, str], error: str) -> None:
    before, kept = cloud.commands.status(), cloud.commands.state.settings_file.read_text()
    with taken() as port:
        values = {"taken": str(port), "free": str(ports.free_port())}
        with pytest.raises(CloudError, match=error):
            with_environment(cloud, {name: values.get(value, value) for name, value in env.items()}).up()
    assert cloud.commands.status() == before
    assert cloud.commands.state.settings_file.read_text() == kept
    assert cloud.get("/health").body["status"] == "ok"
    assert cloud.get("/loads").status == 200


def test_a_stage_keeps_its_settings_until_they_are_reset(
    cloud: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        hook = "http://127.0.0.1:9/hook"  # nothing listens there, so nobody confirms the subscription
        with_environment(cloud, {"BACKUP_RETENTION_DAYS": "7", "LOG_LEVEL": "DEBUG", "NOTICE_WEBHOOK": hook}).up()
        capsys.readouterr()
        with_environment(cloud, {}).up()
        assert "chalice deploy" not in capsys.readouterr().out
        assert (variables(cloud)["BACKUP_RETENTION_DAYS"], variables(cloud)["LOG_LEVEL"]) == ("7", "DEBUG")
        topic = variables(cloud, "relay")["NOTICE_TOPIC"]
        listed = cloud.commands.deployed().client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        assert [(each["Protocol"], each["Endpoint"]) for each in listed] == [("http", hook)]
        monkeypatch.setenv("HIREFLOW_STATE_DIR", str(cloud.commands.state.folder))
        monkeypatch.setenv("ORPHAN_GRACE_MINUTES", "5")
        assert main(["status", "--stage", "local"]) == 0
        shown = capsys.readouterr().out
        assert re.search(r"^state +running$", shown, re.MULTILINE)
        assert re.search(r"^tokens +no tokens are required$", shown, re.MULTILINE)
        rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.count("  ") and line[0] != " "}
        assert rows["BACKUP_RETENTION_DAYS"] == ["7", "kept"]
        assert rows["ORPHAN_GRACE_MINUTES"] == ["15", "default"]
        assert "the next make up changes: ORPHAN_GRACE_MINUTES to 5\n" in shown
    finally:
        with_environment(cloud, {}).up(["ALL"])
    assert (variables(cloud)["BACKUP_RETENTION_DAYS"], variables(cloud)["LOG_LEVEL"]) == ("30", "INFO")
    assert cloud.commands.kept_settings().to_keep() == {}


def test_the_functions_get_only_declared_variables(cloud: Cloud) -> None:
    names = {each.name for each in (*OF_USERS, *COMPUTED)}
    for function in ("backup", "migrate"):
        assert variables(cloud, function).keys() <= names
    assert variables(cloud)[project.RELEASE]


def test_the_error_message_of_a_function_is_shown(cloud: Cloud) -> None:
    with pytest.raises(FunctionFailed) as raised:
        cloud.commands.invoke("tokens", {"action": "revoke", "token": "unknown"})
    assert str(raised.value) == "function tokens failed: there is no such token"


def test_chalice_local_serves_the_api_on_the_running_stage(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.upload("departments.csv", "1,Sales\n")
    monkeypatch.setenv("HIREFLOW_STATE_DIR", str(cloud.commands.state.folder))
    port = ports.free_port()
    command = [sys.executable, "-m", "infra.local", "serve", "--stage", "local", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as served:

        def response(path: str) -> bytes | None:
            assert served.poll() is None
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as received:
                    return bytes(received.read())
            except urllib.error.URLError:
                return None

        try:
            assert b'"database":"ok"' in until(lambda: response("/health"), "a response of chalice local")
            assert response("/department/hires/years") == b'{"years": []}'
        finally:
            served.terminate()
    assert served.returncode == 128 + signal.SIGTERM
    assert ports.is_free(port)  # the command has ended, and so has `chalice local`, which it started
