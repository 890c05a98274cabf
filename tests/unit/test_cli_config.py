"""Where the command line finds the API and the stage."""

from pathlib import Path

import pytest

from infra.cli.config import Config
from infra.cli.errors import Misuse
from infra.local.state import ENV_KEYS, State

STAGE = {key: f"stage-{key}" for key in ENV_KEYS} | {"API_URL": "http://127.0.0.1:1/api/"}


def config(tmp_path: Path, deployed: bool = True, **environ: str) -> Config:
    state = State(tmp_path)
    if deployed:
        state.write_env(STAGE)
    return Config(environ, state)


def test_a_stage_of_this_machine_is_known_by_its_env_file(tmp_path: Path) -> None:
    found = config(tmp_path)
    assert (found.api_url, found.token, found.stage) == ("http://127.0.0.1:1/api", "stage-API_TOKEN", "local")
    assert found.target.aws["AWS_ENDPOINT_URL"] == "stage-AWS_ENDPOINT_URL"
    assert found.target.function("backup") == "hireflow-local-backup"


def test_the_environment_goes_first(tmp_path: Path) -> None:
    found = config(tmp_path, API_URL="https://api.example/prod", API_TOKEN="mine", STAGE="prod")
    assert (found.api_url, found.token, found.stage) == ("https://api.example/prod", "mine", "prod")
    assert found.target.aws == {}  # boto3 looks for credentials where it always does


def test_a_token_of_this_machine_goes_to_no_other_api(tmp_path: Path) -> None:
    assert config(tmp_path, API_URL="https://api.example/prod").token == ""
    assert config(tmp_path, API_TOKEN="other").token == "other"


def test_an_emulator_may_be_named_by_the_environment(tmp_path: Path) -> None:
    found = config(tmp_path, deployed=False, API_URL="http://x", AWS_ENDPOINT_URL="http://aws")
    assert (found.stage, found.target.aws) == ("local", {"AWS_ENDPOINT_URL": "http://aws"})


def test_the_stage_says_whose_state_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HIREFLOW_STATE_DIR", raising=False)
    assert Config.of({}).state.folder.name == ".local"
    assert Config.of({"STAGE": "localstack"}).state.folder.name == ".local-localstack"


def test_without_either_it_says_what_to_do(tmp_path: Path) -> None:
    nowhere = config(tmp_path, deployed=False)
    with pytest.raises(Misuse, match=r"API_URL.*make up"):
        _ = nowhere.api_url
    with pytest.raises(Misuse, match="STAGE=prod"):
        _ = nowhere.target


@pytest.mark.parametrize(
    "url", ["api.example", "ftp://api.example", "http://", "http://[", "http://a:b/", "http://a?b"]
)
def test_an_address_that_is_none_is_told(tmp_path: Path, url: str) -> None:
    with pytest.raises(Misuse, match="API_URL"):
        _ = config(tmp_path, API_URL=url).api_url


@pytest.mark.parametrize("token", ["a\nb", "a b", "é"])
def test_a_token_that_no_header_can_carry_is_told_without_itself(tmp_path: Path, token: str) -> None:
    with pytest.raises(Misuse) as raised:
        _ = config(tmp_path, API_TOKEN=token).token
    assert token not in str(raised.value)


def test_neither_tokens_nor_credentials_are_in_its_text(tmp_path: Path) -> None:
    assert "secret" not in repr(config(tmp_path, API_TOKEN="secret", AWS_SECRET_ACCESS_KEY="secret"))
