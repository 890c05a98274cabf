"""Tests the configuration of the command line: the API, the token, the stage and its AWS account."""

import json
from pathlib import Path

import pytest

from cli.config import CHECKOUT, Config
from cli.errors import CommandError, Misuse
from cli.functions import NAMES, deployed_name
from infra.deploy import policies
from infra.deploy.target import Target
from infra.local.state import ENV_KEYS, State
from infra.venv import ROOT

STAGE = {key: f"stage-{key}" for key in ENV_KEYS} | {"API_URL": "http://127.0.0.1:1/api/"}


def config(tmp_path: Path, deployed: bool = True, **environ: str) -> Config:
    if deployed:
        State(tmp_path).write_env(STAGE)
    return Config(environ, tmp_path)


def test_a_local_stage_is_configured_by_its_env_file(tmp_path: Path) -> None:
    found = config(tmp_path)
    assert (found.api_url, found.token, found.stage) == ("http://127.0.0.1:1/api", "stage-API_TOKEN", "local")
    assert found.aws["AWS_ENDPOINT_URL"] == "stage-AWS_ENDPOINT_URL"
    assert all(name.startswith("AWS_") for name in found.aws)


def test_the_environment_overrides_the_env_file(tmp_path: Path) -> None:
    found = config(tmp_path, API_URL="https://api.example/prod", API_TOKEN="mine", STAGE="prod")
    assert (found.api_url, found.token, found.stage) == ("https://api.example/prod", "mine", "prod")
    assert found.aws == {}  # empty, so boto3 looks for credentials itself


def test_a_token_of_the_env_file_goes_to_no_other_api(tmp_path: Path) -> None:
    assert config(tmp_path, API_URL="https://api.example/prod").token == ""
    assert config(tmp_path, API_TOKEN="other").token == "other"


def test_the_environment_may_name_an_emulator(tmp_path: Path) -> None:
    found = config(tmp_path, deployed=False, API_URL="http://x", AWS_ENDPOINT_URL="http://aws")
    assert (found.stage, found.aws) == ("local", {"AWS_ENDPOINT_URL": "http://aws"})


@pytest.mark.parametrize("stage", ["local", "localstack", "prod"])
def test_each_stage_has_its_own_state_folder(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HIREFLOW_STATE_DIR", raising=False)
    assert Config.of({CHECKOUT: str(ROOT), "STAGE": stage}).folder == State.of(stage).folder
    named = {CHECKOUT: str(ROOT), "STAGE": stage, "HIREFLOW_STATE_DIR": "/elsewhere"}
    assert Config.of(named).folder == Path("/elsewhere")


def test_outside_a_checkout_only_the_environment_is_read() -> None:
    nowhere = Config.of({})
    assert nowhere.folder is None
    with pytest.raises(Misuse, match=r"set API_URL \(and API_TOKEN\)$"):
        _ = nowhere.api_url


def test_a_local_stage_that_is_not_deployed_is_not_looked_for_on_aws(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"^stage local is not deployed here: make up$"):
        _ = config(tmp_path, deployed=False, STAGE="local").aws
    with pytest.raises(CommandError, match="make up STAGE=localstack"):
        _ = config(tmp_path, deployed=False, STAGE="localstack").aws
    assert config(tmp_path, deployed=False, STAGE="prod").aws == {}


def test_only_a_local_stage_has_the_message_that_it_is_not_running(tmp_path: Path) -> None:
    assert config(tmp_path).absent == "stage local is not running: make up"
    assert config(tmp_path, API_URL=STAGE["API_URL"]).absent == "stage local is not running: make up"
    assert config(tmp_path, API_URL="http://127.0.0.1:2/api").absent == ""


def test_a_shell_with_an_old_token_has_to_read_the_env_file_again(tmp_path: Path) -> None:
    url = STAGE["API_URL"].rstrip("/")
    for token in ("", "earlier"):
        assert f"set -a; . {tmp_path}/env; set +a" in config(tmp_path, API_URL=url, API_TOKEN=token).outdated
    assert config(tmp_path, API_URL=url, API_TOKEN=STAGE["API_TOKEN"]).outdated == ""
    assert config(tmp_path).outdated == ""  # without API_TOKEN, the token of the env file is used
    assert config(tmp_path, API_URL="https://api.example/prod").outdated == ""


def test_function_names_equal_those_of_the_deployment(tmp_path: Path) -> None:
    target = Target("prod", ROOT, tmp_path, {}, {})
    assert {deployed_name("prod", name) for name in NAMES[1:]} == {target.function(name) for name in NAMES[1:]}
    assert deployed_name("prod", "api") == policies.deployed_name("prod", "api_handler")
    declared = json.loads((ROOT / ".chalice" / "config.json").read_text())["lambda_functions"]
    assert tuple("api" if name == "api_handler" else name for name in declared) == NAMES


def test_without_environment_and_env_file_the_error_says_what_to_do(tmp_path: Path) -> None:
    nowhere = config(tmp_path, deployed=False)
    with pytest.raises(Misuse, match=r"API_URL.*make up"):
        _ = nowhere.api_url
    with pytest.raises(Misuse, match="STAGE=prod"):
        _ = nowhere.aws


@pytest.mark.parametrize(
    "url", ["api.example", "ftp://api.example", "http://", "http://[", "http://a:b/", "http://a?b", "http://a:b@c"]
)
def test_an_invalid_address_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(Misuse, match="API_URL"):
        _ = config(tmp_path, API_URL=url).api_url


@pytest.mark.parametrize("token", ["a\nb", "a b", "é"])
def test_an_invalid_token_is_refused_without_being_shown(tmp_path: Path, token: str) -> None:
    with pytest.raises(Misuse) as raised:
        _ = config(tmp_path, API_TOKEN=token).token
    assert token not in str(raised.value)


def test_the_repr_of_a_configuration_shows_no_secrets(tmp_path: Path) -> None:
    assert "secret" not in repr(config(tmp_path, API_TOKEN="secret", AWS_SECRET_ACCESS_KEY="secret"))
