"""Tests that the new setting `BACKUPS` is validated, kept and shown, and that it changes what the backup function
does."""

import pytest

from chalicelib import handlers
from chalicelib.services import services
from infra.errors import CloudError
from infra.settings import kept, table
from infra.settings.chosen import KEPT, choose
from tests.integration.http_api import Api
from tests.integration.s3_fixtures import S3


def test_a_wrong_value_is_refused_before_anything_changes() -> None:
    with pytest.raises(CloudError, match="nothing was changed: BACKUPS=maybe is not on or off"):
        choose("local", {"BACKUPS": "maybe"}, {})


def test_the_setting_is_kept_and_shown() -> None:
    chosen = choose("local", {"BACKUPS": "off"}, {})
    text = "".join(f"{name}={value}\n" for name, value in chosen.to_keep().items())
    again = choose("local", {}, kept.parse(text, "settings"))
    assert ("BACKUPS", "off", KEPT) in table.rows(again)


@pytest.mark.parametrize(("env", "makes_one"), [({}, True), ({"BACKUPS": "on"}, True), ({"BACKUPS": "off"}, False)])
def test_the_function_gets_the_setting(
    api: Api, s3: S3, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], makes_one: bool
) -> None:
    for name, value in choose("local", env, {}).of_functions().items():
        monkeypatch.setenv(name, value)
    services.cache_clear()
    result = handlers.back_up()
    assert (result == {"paused": True}) is not makes_one
    assert bool(s3.keys()) is makes_one
