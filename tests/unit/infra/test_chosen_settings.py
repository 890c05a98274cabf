"""Tests how the settings of a stage are chosen: from the environment, from the kept settings, or by default. All
settings are validated before anything changes."""

import json
import os
import re
from pathlib import Path

import pytest

from chalicelib.core.settings import LOCAL, Settings, declared
from infra import pages
from infra.errors import CloudError
from infra.settings import table
from infra.settings.__main__ import with_tables
from infra.settings.adopted import adopted, outdated
from infra.settings.chosen import DEFAULT, ENVIRONMENT, KEPT, check, choose, of_one_command
from infra.settings.declaration import COMPUTED, MACHINE, OF_USERS, OTHERS, applying
from infra.venv import ROOT

NAMES = {each.name for each in (*OF_USERS, *COMPUTED)}
OWN = {"DATABASE_URL": "postgresql://boss:s3cret@db.example/hireflow"}


def test_the_environment_overrides_kept_values_and_these_override_defaults() -> None:
    env, kept = {"LOG_LEVEL": "DEBUG"}, {"LOG_LEVEL": "ERROR", "BACKUP_RETENTION_DAYS": "7"}
    chosen = choose(LOCAL, env, kept)
    found = {name: (chosen.text(name), chosen.values[name].source) for name in (*kept, "ORPHAN_GRACE_MINUTES")}
    assert found == {
        "LOG_LEVEL": ("DEBUG", ENVIRONMENT),
        "BACKUP_RETENTION_DAYS": ("7", KEPT),
        "ORPHAN_GRACE_MINUTES": ("15", DEFAULT),
    }
    assert chosen.to_keep() == {"LOG_LEVEL": "DEBUG", "BACKUP_RETENTION_DAYS": "7"}


def test_an_empty_variable_counts_as_not_set() -> None:
    assert choose(LOCAL, {"HIREFLOW_AUTH": ""}, {"HIREFLOW_AUTH": "on"}).authentication


def test_only_stage_local_may_run_without_authentication() -> None:
    assert [choose(stage, {}, {}).authentication for stage in (LOCAL, "localstack", "prod")] == [False, True, True]
    for stage in ("localstack", "prod"):
        with pytest.raises(CloudError, match=f"only stage local may run without authentication, not stage {stage}"):
            choose(stage, {"HIREFLOW_AUTH": "off"}, {})


def test_reset_restores_the_default_of_a_setting() -> None:
    kept = {"HIREFLOW_AUTH": "on", "LOG_LEVEL": "ERROR"}
    assert choose(LOCAL, {}, kept, ["HIREFLOW_AUTH"]).to_keep() == {"LOG_LEVEL": "ERROR"}
    assert choose(LOCAL, {}, kept, ["ALL"]).to_keep() == {}
    assert choose(LOCAL, {}, {"LOG_LEVEL": "no longer allowed"}, ["LOG_LEVEL"]).text("LOG_LEVEL") == "INFO"
    assert choose(LOCAL, {}, {"UNKNOWN": "1", "LOG_LEVEL": "loud"}, ["ALL"]).to_keep() == {}
    with pytest.raises(CloudError, match=r"RESET=HIREFLOW_AUHT: this is not a setting .* did you mean HIREFLOW_AUTH\?"):
        choose(LOCAL, {}, kept, ["HIREFLOW_AUHT"])


def test_one_error_lists_all_invalid_settings_and_their_allowed_values() -> None:
    env = {"BACKUP_RETENTION_DAYS": "-1", "HIREFLOW_PORT": "http", "LOG_LEVEL": "loud", "HIREFLOW_PROT": "1"}
    with pytest.raises(CloudError) as raised:
        choose(LOCAL, env, {"HIREFLOW_AUTH": "maybe", "BACKUP": "1"}, (), "the file")
    message = str(raised.value)
    assert message.startswith("nothing was changed: ")
    for part in (
        "HIREFLOW_PROT is not a setting: did you mean HIREFLOW_PORT?",
        "BACKUP_RETENTION_DAYS=-1 is not a number of days above 0",
        "HIREFLOW_PORT=http is not a port from 1 to 65535",
        "LOG_LEVEL=loud is not DEBUG, INFO, WARNING, ERROR or CRITICAL",
        "HIREFLOW_AUTH=maybe is not on or off (the file)",
        "BACKUP (the file) is not a setting that stage local keeps",
    ):
        assert part in message


@pytest.mark.parametrize("value", ["0", "65536", "-1", "http", "8 0", "٨٠", "1.5"])
def test_an_invalid_port_is_refused(value: str) -> None:
    with pytest.raises(CloudError, match=r"HIREFLOW_PG_PORT=.* is not a port"):
        check(LOCAL, {"HIREFLOW_PG_PORT": value})


@pytest.mark.parametrize("name", ["postgres", "pg_mine", "x" * 60, "two words"])
def test_role_names_that_postgres_reserves_or_truncates_are_refused(name: str) -> None:
    with pytest.raises(CloudError, match="HIREFLOW_PG_USER"):
        check(LOCAL, {"HIREFLOW_PG_USER": name})


@pytest.mark.parametrize(
    ("stage", "env", "expected"),
    [
        (LOCAL, {"HIREFLOW_PORT": "7000", "HIREFLOW_PG_PORT": "7000"}, "are both 7000"),
        (LOCAL, {"HIREFLOW_PORT": "7e3", "HIREFLOW_PG_PORT": "7000"}, "are both 7000"),
        ("localstack", OWN, "AWS_ENDPOINT_URL is not set"),
        ("localstack", {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, "DATABASE_URL is not set"),
        ("prod", {"DATABASE_TLS": "disable"}, "needs a DATABASE_URL"),
        ("prod", {"DATABASE_CA": __file__}, "DATABASE_CA is not for PROFILE=standard"),
        ("prod", {"PROFILE": "standard", "DATABASE_CA": __file__}, "DATABASE_CA is not for PROFILE=standard"),
        ("prod", {"PROFILE": "large"}, "PROFILE=large is not standard, small, tiny or existing"),
        ("prod", {"PROFILE": "existing"}, "PROFILE=existing needs a DATABASE_URL"),
        *(
            ("prod", {"PROFILE": name, **OWN}, f"PROFILE={name} needs no DATABASE_URL, .*RESET=DATABASE_URL")
            for name in ("standard", "small", "tiny")
        ),
        ("prod", {"DATABASE_SNAPSHOT": "before", **OWN}, "DATABASE_SNAPSHOT is only for a database that AWS runs"),
        ("prod", {"DATABASE_SNAPSHOT": "two words"}, "is not the name or the ARN of a snapshot"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(stage: str, env: dict[str, str], expected: str) -> None:
    with pytest.raises(CloudError, match=expected):
        choose(stage, env, {})


@pytest.mark.parametrize("profile", ["small", "tiny"])
def test_a_database_without_a_proxy_may_have_other_authorities(profile: str) -> None:
    assert choose("prod", {"PROFILE": profile, "DATABASE_CA": __file__}, {}).read("DATABASE_CA") == __file__


def test_the_profile_and_the_snapshot_are_kept() -> None:
    arn = "arn:aws:rds:eu-central-1:123456789012:cluster-snapshot:before"
    wanted = {"PROFILE": "small", "DATABASE_SNAPSHOT": arn}
    assert choose("prod", wanted, {}).to_keep() == wanted
    assert choose("prod", {}, wanted).to_keep() == wanted
    assert choose("prod", {"PROFILE": "tiny"}, wanted).text("PROFILE") == "tiny"


def test_the_receivers_of_notices_are_subscriptions_by_protocol() -> None:
    given = {"NOTICE_EMAIL": "hr@example.com", "NOTICE_WEBHOOK": "https://example.com/hook"}
    expected = {"email": "hr@example.com", "https": "https://example.com/hook"}
    assert choose("prod", given, {}).subscriptions() == choose(LOCAL, given, {}).subscriptions() == expected
    assert choose(LOCAL, {}, {}).subscriptions() == {}
    plain = {"NOTICE_WEBHOOK": "http://127.0.0.1:8000/hook"}
    assert choose(LOCAL, plain, {}).subscriptions() == {"http": "http://127.0.0.1:8000/hook"}
    with pytest.raises(CloudError, match="NOTICE_WEBHOOK must begin with https://"):
        choose("prod", plain, {})
    with pytest.raises(CloudError, match="NOTICE_EMAIL=nobody is not an email address"):
        choose("prod", {"NOTICE_EMAIL": "nobody"}, {})


def test_variables_of_other_stages_are_ignored() -> None:
    """For example, after `. .local/env` the environment of a user has variables that this stage computes itself."""
    env = {**OWN, "AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "LANDING_BUCKET": "landing", "API_URL": "http://x"}
    assert choose(LOCAL, env, {}).to_keep() == {}


def test_secrets_are_not_shown() -> None:
    chosen = choose(LOCAL, {"HIREFLOW_PG_PASSWORD": "s3cret"}, {})
    assert "s3cret" not in str(table.rows(chosen)) + repr(chosen)
    assert chosen.to_keep() == {"HIREFLOW_PG_PASSWORD": "s3cret"}
    with pytest.raises(CloudError) as raised:
        choose("prod", {"DATABASE_URL": "mysql://boss:s3cret@db"}, {})
    assert "DATABASE_URL is not a URL" in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("character", ["\x7f", "\x85", "\u2028", "\udcff"])
def test_values_with_control_characters_are_refused(tmp_path: Path, character: str) -> None:
    """A value is one line of the settings file. With a line break or another control character in a value, the next
    command could not read the file."""
    folder = tmp_path / f"bin{character}s"
    folder.mkdir()
    for program in ("postgres", "initdb"):
        (folder / program).touch(0o755)
    env = {"HIREFLOW_PG_PASSWORD": f"s3{character}cret", "HIREFLOW_PG_BIN": str(folder)}
    with pytest.raises(CloudError) as raised:
        choose(LOCAL, env, {})
    assert str(raised.value).count("contains control characters") == len(env)
    assert "cret" not in str(raised.value)


def test_paths_are_kept_as_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("postgres", "initdb"):
        (tmp_path / program).touch(mode=0o755)
    monkeypatch.chdir(tmp_path.parent)
    assert choose(LOCAL, {"HIREFLOW_PG_BIN": tmp_path.name}, {}).to_keep() == {"HIREFLOW_PG_BIN": str(tmp_path)}
    with pytest.raises(CloudError, match="a folder with the programs postgres and initdb"):
        check(LOCAL, {"HIREFLOW_PG_BIN": "."})


def test_a_setting_that_is_not_kept_applies_to_one_command() -> None:
    assert of_one_command({"HIREFLOW_STATE_DIR": "x", "LOG_LEVEL": "DEBUG"}) == {"HIREFLOW_STATE_DIR": "x"}
    assert "HIREFLOW_STATE_DIR" not in choose(LOCAL, {"HIREFLOW_STATE_DIR": "x"}, {}).to_keep()


def test_settings_of_an_earlier_release_are_read_from_its_functions() -> None:
    deployed = {"HIREFLOW_AUTH": "on", "ORPHAN_GRACE_MINUTES": "47", "DATABASE_CONNECTIONS": "100", "RELEASE": "1"}
    assert adopted(LOCAL, deployed) == {"HIREFLOW_AUTH": "on", "ORPHAN_GRACE_MINUTES": "47"}
    assert adopted("prod", deployed) == {"ORPHAN_GRACE_MINUTES": "47"}
    assert adopted(LOCAL, {"LOG_LEVEL": "NOTSET", "BACKUP_RETENTION_DAYS": "30.0"}) == {}


def test_a_setting_that_the_functions_lack_counts_as_its_default() -> None:
    """The functions of the previous release lack new settings. A missing setting alone must not cause a deployment."""
    deployed = {"HIREFLOW_AUTH": "on", "ORPHAN_GRACE_MINUTES": "47", "BACKUP_RETENTION_DAYS": "30.0", "RELEASE": "1"}
    kept = adopted(LOCAL, deployed)
    assert outdated(choose(LOCAL, {}, kept), deployed) == []
    changed = {**kept, "ORPHAN_GRACE_MINUTES": "5", "CONTINUE_FROM_BYTES": "1000"}
    assert outdated(choose(LOCAL, {}, changed), deployed) == ["ORPHAN_GRACE_MINUTES", "CONTINUE_FROM_BYTES"]
    assert outdated(choose(LOCAL, {}, {}), {"LOG_LEVEL": "NOTSET"}) == ["LOG_LEVEL"]


WITHOUT_A_DEFAULT = {"API_ORIGINS": "https://jobs.example"}  # an example value of each setting without a default


@pytest.mark.parametrize("each", [each for _, each in declared() if each.stages], ids=lambda each: each.name)
@pytest.mark.parametrize("stage", ["local", "localstack", "prod"])
def test_a_declared_setting_is_listed_kept_and_passed_to_the_functions(stage: str, each: object) -> None:
    assert each in OF_USERS
    chosen = choose(stage, {}, {})
    if each not in applying(stage):
        return
    name = getattr(each, "name")  # noqa: B009
    assert any(row[0] == name for row in table.rows(chosen))
    value = chosen.text(name) or WITHOUT_A_DEFAULT[name]
    assert choose(stage, {name: value}, {}).of_functions()[name] == value
    assert chosen.of_functions().get(name, "") == chosen.text(name)
    assert f"| `{name}` |" in table.of_users()
    assert name in choose(stage, {}, {name: value}).to_keep()


def test_deployed_defaults_equal_the_defaults_in_the_functions() -> None:
    env = dict.fromkeys(("LANDING_BUCKET", "ERRORED_BUCKET", "BACKUP_BUCKET", "DEAD_LETTER_QUEUE", "DATABASE_URL"), "x")
    assert Settings.from_env(env) == Settings.from_env({**env, **choose("prod", {}, {}).of_functions()})


def test_the_page_about_settings_has_the_current_tables() -> None:
    text = pages.SETTINGS.read_text()
    assert with_tables(text) == text, "run: .venv/bin/python -m infra.settings"


def test_every_hireflow_variable_is_declared() -> None:
    """The test searches the code, Chalice's configuration and the templates for names of variables."""
    sources = [*(ROOT / "chalicelib").rglob("*.py"), *(ROOT / "infra").rglob("*.py"), ROOT / "app.py"]
    sources += [ROOT / "docker-compose.localstack.yml", ROOT / "Makefile", *(ROOT / "tests").rglob("*.py")]
    used = {name for path in sources for name in re.findall(r"\bHIREFLOW_[A-Z_]+\b", path.read_text())}
    # This file has names with intended typing errors.
    assert used - {*NAMES, *OTHERS} == {"HIREFLOW_PROT", "HIREFLOW_AUHT"}
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    places = [config, *config["stages"].values(), *config["lambda_functions"].values()]
    assert {name for place in places for name in place.get("environment_variables", {})} <= NAMES
    templates = "\n".join(path.read_text() for path in (ROOT / "infra" / "aws" / "templates").glob("*.yaml"))
    named = re.findall(
        r"\b(?:HIREFLOW|DATABASE|BACKUP|ORPHAN|CONTINUE|LOG|S3|DEAD|LANDING|ERRORED)_[A-Z_]+\b", templates
    )
    assert named
    assert set(named) <= NAMES


def test_settings_are_read_only_through_their_declaration() -> None:
    """The exceptions are paths that tests and installations need, and the variable that app.py needs while it is
    imported."""
    read = re.compile(r"environ(?:\.get\(|\[)\s*\"([A-Z_]+)\"")
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in [*(ROOT / "chalicelib").rglob("*.py"), *(ROOT / "infra").rglob("*.py"), ROOT / "app.py"]
        for name in read.findall(path.read_text())
        if name in NAMES
    }
    found = {(path, name) for path, name in found if name != "AWS_ENDPOINT_URL"}  # all AWS clients read this variable
    assert found == {
        ("app.py", "LANDING_BUCKET"),
        ("infra/install/sets.py", "HIREFLOW_PG_BIN"),
        ("infra/local/binaries.py", "HIREFLOW_PG_BIN"),
        ("infra/local/state.py", "HIREFLOW_STATE_DIR"),
    }


def test_no_setting_is_declared_twice_for_one_stage() -> None:
    for stage in ("local", "localstack", "prod"):
        names = [each.name for each in applying(stage)]
        assert len(names) == len(set(names))
    assert {each.name for each in MACHINE} & set(os.environ) <= {"HIREFLOW_STATE_DIR", "HIREFLOW_PG_BIN"}
