"""Tests how the functions read their settings from environment variables."""

from datetime import timedelta

import pytest

from chalicelib.core.errors import ConfigurationError
from chalicelib.core.settings import Settings
from infra.venv import ROOT

COMPLETE = {
    "DATABASE_URL": "postgresql+pg8000://user:pass%40word@localhost:5432/hireflow",
    "LANDING_BUCKET": "landing",
    "ERRORED_BUCKET": "errored",
    "BACKUP_BUCKET": "backup",
    "DEAD_LETTER_QUEUE": "dead-letters",
}


def test_settings_have_defaults() -> None:
    settings = Settings.from_env(COMPLETE)
    assert settings.database_tls == "verify-full"
    assert settings.orphan_grace == timedelta(minutes=15)
    assert settings.backup_retention == timedelta(days=30)


def test_variables_of_the_environment_override_the_defaults() -> None:
    more = {"DATABASE_TLS": "disable", "ORPHAN_GRACE_MINUTES": "0.5", "BACKUP_RETENTION_DAYS": "7"}
    settings = Settings.from_env(COMPLETE | more | {"CONTINUE_FROM_BYTES": "1e9"})
    assert settings.continue_from == 1_000_000_000
    assert settings.database_tls == "disable"
    assert settings.orphan_grace == timedelta(seconds=30)
    assert settings.backup_retention == timedelta(days=7)


def test_the_certificate_authorities_are_in_a_file_of_the_package() -> None:
    assert Settings.from_env(COMPLETE).database_ca == ""
    assert Settings.from_env(COMPLETE | {"DATABASE_CA": "app.py"}).database_ca == str(ROOT / "app.py")
    with pytest.raises(ConfigurationError, match=r"DATABASE_CA=gone\.pem is not a file of the deployment package"):
        Settings.from_env(COMPLETE | {"DATABASE_CA": "gone.pem"})


def test_a_token_is_never_sent_in_plain_text() -> None:
    assert Settings.from_env(COMPLETE | {"DATABASE_IAM": "on"}).database_iam
    with pytest.raises(ConfigurationError, match="needs TLS"):
        Settings.from_env(COMPLETE | {"DATABASE_IAM": "on", "DATABASE_TLS": "disable"})


def test_one_error_names_all_wrong_settings() -> None:
    wrong = {
        "DATABASE_IAM": "perhaps",
        "DATABASE_TLS": "maybe",
        "ORPHAN_GRACE_MINUTES": "soon",
        "BACKUP_RETENTION_DAYS": "-1",
    }
    with pytest.raises(ConfigurationError) as raised:
        Settings.from_env(wrong)
    for name in (*COMPLETE, *wrong):
        assert name in raised.value.detail


@pytest.mark.parametrize("value", ["nan", "inf", "1e99", "0", "1_0", "٣", "-1"])
def test_a_duration_must_be_a_number_within_its_limits(value: str) -> None:
    with pytest.raises(ConfigurationError, match="ORPHAN_GRACE_MINUTES"):
        Settings.from_env(COMPLETE | {"ORPHAN_GRACE_MINUTES": value})


def test_the_password_is_not_shown() -> None:
    assert "pass" not in repr(Settings.from_env(COMPLETE))


def test_further_origins_are_a_list() -> None:
    assert Settings.from_env(COMPLETE).api_origins == ()
    given = {"API_ORIGINS": "https://jobs.example, https://hr.example:8443,https://jobs.example"}
    assert Settings.from_env(COMPLETE | given).api_origins == ("https://jobs.example", "https://hr.example:8443")


@pytest.mark.parametrize(
    "origin",
    [
        *("jobs.example", "http://jobs.example", "https://", "https://jobs.example/", "https://jobs.example/api"),
        *(
            "https://*.example",
            "https://Jobs.example",
            "https://jobs.example:443",
            "https://a@jobs.example",
            "null",
            "*",
        ),
        *(
            "https://jöbs.example",
            "https://jobs.example https://hr.example",
            "https://jobs.example,,https://hr.example",
        ),
    ],
)
def test_a_text_that_no_browser_sends_as_an_origin_is_refused(origin: str) -> None:
    with pytest.raises(ConfigurationError, match=r"API_ORIGINS=.* is not a list of origins like https://host"):
        Settings.from_env(COMPLETE | {"API_ORIGINS": origin})
