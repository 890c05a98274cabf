"""Tests that an unforeseen error is logged, and that the error which a function raises has no data of rows in its
message."""

from typing import Any

import pytest

from chalicelib.auth.roles import ROLES
from chalicelib.core.errors import HireflowError, Unprocessable
from chalicelib.services import services
from tests.integration.http_api import Api


def test_an_unforeseen_error_quotes_nothing(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with services().database.session() as session:
        session.run("ALTER TABLE tokens RENAME TO hidden")
        try:
            with pytest.raises(HireflowError) as left:
                api.client.lambda_.invoke("tokens", {"action": "list"})
        finally:
            session.run("ALTER TABLE hidden RENAME TO tokens")
    assert left.value.detail == "an internal error: the log shows where in the code it occurred"
    assert left.value.__suppress_context__
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info


def test_an_expected_error_keeps_its_message(api: Api) -> None:
    order: dict[str, Any] = {"action": "create", "role": "boss"}
    with pytest.raises(Unprocessable, match=", ".join(ROLES)):
        api.client.lambda_.invoke("tokens", order)
