"""Tests the state folder of a stage: its env file, its file of notes, and its lock."""

import stat
import threading
from pathlib import Path

import pytest

from cli.config import Config
from infra.errors import CloudError
from infra.local.commands import Commands
from infra.local.state import ENV_KEYS, State
from infra.locks import locked
from infra.venv import ROOT

VALUES = {key: f"value of {key}" for key in ENV_KEYS} | {"API_URL": "http://127.0.0.1:1/api"}


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "state")
    with made.turn():
        pass
    return made


def test_the_env_file_has_the_documented_keys_and_is_private(state: State) -> None:
    state.write_env(VALUES)
    lines = state.env_file.read_text().splitlines()
    assert [line.partition("=")[0] for line in lines] == [
        "API_URL",
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
        "LANDING_BUCKET",
        "ERRORED_BUCKET",
        "BACKUP_BUCKET",
        "DATABASE_URL",
        "API_TOKEN",
    ]
    assert stat.S_IMODE(state.env_file.stat().st_mode) == 0o600
    assert state.read_env() == VALUES


def test_without_a_deployment_the_env_file_is_a_clear_error(state: State) -> None:
    with pytest.raises(CloudError, match="make up"):
        state.read_env()


def test_a_damaged_env_file_is_a_clear_error(state: State) -> None:
    state.env_file.write_text("API_URL=http://127.0.0.1:1/api\nAPI_TOKEN\n")
    with pytest.raises(
        CloudError, match=r"/env lacks AWS_ENDPOINT_URL and .* and API_TOKEN: make up writes this file again"
    ):
        state.read_env()
    commands = Commands("local", ROOT, state, print, env={})
    assert "API" not in commands.status()
    with pytest.raises(CloudError, match="make up"):
        commands.check_running()


def test_an_env_file_may_have_a_byte_order_mark_and_crlf(state: State) -> None:
    state.write_env(VALUES)
    text = state.env_file.read_text()
    state.env_file.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\n# mine")
    assert state.read_env() == VALUES
    assert Config({}, state.folder).api_url == VALUES["API_URL"]


@pytest.mark.parametrize("text", ["", "{", "[1]", "5"])
def test_damaged_notes_are_ignored(state: State, text: str) -> None:
    (state.folder / "cloud.json").write_text(text)
    assert state.notes() == {}


def test_notes_are_merged_deleted_and_private(state: State) -> None:
    state.note(port=1, pg_password="secret")
    state.note(port=None, cloud="embedded")
    assert State(state.folder).notes() == {"pg_password": "secret", "cloud": "embedded"}
    assert stat.S_IMODE((state.folder / "cloud.json").stat().st_mode) == 0o600


def test_delete_leaves_a_folder_without_the_lock(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    State(tmp_path).delete()
    assert (tmp_path / "thesis.tex").exists()


def test_delete_removes_the_state_folder(state: State) -> None:
    state.delete()
    assert not state.folder.exists()


def test_other_users_cannot_read_the_folder(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    (tmp_path / "state" / "build").mkdir(parents=True)
    (tmp_path / "state").chmod(0o755)
    with state.turn():
        pass
    for folder in (state.folder, state.build("local").parent):
        assert not folder.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH)
    assert not state.build("local").parent.stat().st_mode & 0o077


def test_a_lock_has_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, 1, "busy"), pytest.raises(CloudError, match="busy"), locked(path, 0.05, "busy"):
        pytest.fail("two holders had the lock at the same time")


def test_a_lock_file_that_its_holder_deleted_does_not_count(tmp_path: Path) -> None:
    """`make clean` may delete the state folder while `make up` waits for the lock file in this folder. Then `make up`
    must take a lock in a new file."""
    path, opened, entered = tmp_path / "state" / "lock", threading.Event(), threading.Event()

    def wait_for_it() -> None:
        opened.set()
        with locked(path, 10, "busy"):
            assert path.exists()
            entered.set()

    with locked(path, 1, "busy"):
        waiter = threading.Thread(target=wait_for_it)
        waiter.start()
        assert opened.wait(5)
        assert not entered.wait(0.1)
        path.unlink()
        path.parent.rmdir()
    waiter.join(10)
    assert entered.is_set()
