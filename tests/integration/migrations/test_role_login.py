"""Tests the login of the functions' role, on a server whose database owner is not a superuser. On RDS, no role is a
superuser."""

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.core.errors import ConfigurationError, DatabaseUnavailable
from chalicelib.migrations.migrate import upgrade
from chalicelib.migrations.stage_migration import migrate_stage
from infra.local import provision
from infra.local.postgres import Postgres, temporary
from infra.local.provision import Role, connect
from tests.integration.migrations.test_schema import newest_revision

ENV = {"LANDING_BUCKET": "l", "ERRORED_BUCKET": "e", "BACKUP_BUCKET": "b", "DEAD_LETTER_QUEUE": "q"}
APP = "boss_app"
TIMEOUTS = ["idle_session_timeout=2min", "idle_in_transaction_session_timeout=5min"]


@dataclass(frozen=True)
class Stage:
    """A stage whose database owner `boss` has the right to create roles. The functions' role does not exist yet."""

    server: Postgres

    def url(self, user: str, password: str) -> str:
        return Role(user, password).url("127.0.0.1", self.server.port() or 0, "other")

    def run(self, *statements: str) -> list[Any]:
        """Run statements as the superuser, and return the rows of the last one."""
        with closing(connect(self.server.superuser_url)) as admin:
            return [admin.run(statement) for statement in statements][-1] or []

    def migrate(self, password: str, connections: int = 7, owner: str = "b", event: object = None) -> list[str]:
        """Migrate with these passwords of the functions' role and of the database owner, and return the notes."""
        urls = {"DATABASE_URL": self.url("boss", owner), "APP_DATABASE_URL": self.url(APP, password)}
        # A URL without a password must not have a colon before the @.
        given = {name: url.replace(":@", "@") for name, url in urls.items()}
        env = {**ENV, **given, "DATABASE_TLS": "disable", "DATABASE_CONNECTIONS": str(connections)}
        done = migrate_stage(env, event)
        assert done["revision"] == newest_revision()
        notes = done["notes"]
        assert isinstance(notes, list)
        return notes

    def accepts(self, password: str) -> bool:
        return provision.accepts(self.url(APP, password))

    def role(self) -> tuple[int, list[str]]:
        """Return the connection limit and the timeouts of the functions' role."""
        [[limit, config]] = self.run(f"SELECT rolconnlimit, rolconfig FROM pg_roles WHERE rolname = '{APP}'")
        return limit, config or []

    def logs_in_with_tokens(self) -> bool:
        member = f"m.member = '{APP}'::regrole AND m.roleid = 'rds_iam'::regrole"
        [[yes]] = self.run(f"SELECT EXISTS (SELECT FROM pg_auth_members m WHERE {member})")
        return bool(yes)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with temporary() as server:
        with closing(connect(server.superuser_url)) as admin:
            admin.run("CREATE ROLE boss LOGIN CREATEROLE PASSWORD 'b'")
            admin.run("CREATE DATABASE other OWNER boss")
        upgrade(Role("boss", "b").url("127.0.0.1", server.port() or 0, "other"), tls="disable")
        yield server


@pytest.fixture
def stage(server: Postgres) -> Iterator[Stage]:
    stage = Stage(server)
    yield stage
    with closing(connect(server.superuser_url.rpartition("/")[0] + "/other")) as admin:
        if admin.run(f"SELECT FROM pg_roles WHERE rolname = '{APP}'"):
            admin.run(f"DROP OWNED BY {APP}")
            admin.run(f"DROP ROLE {APP}")
        admin.run("DROP ROLE IF EXISTS rds_iam")
        admin.run("ALTER ROLE boss PASSWORD 'b'")


@pytest.fixture
def foreign(stage: Stage) -> Stage:
    """Return a stage whose functions' role was created by the superuser, with the password `first`."""
    if int(stage.run("SHOW server_version_num")[0][0]) < 160_000:
        pytest.skip("before Postgres 16, a role with CREATEROLE may change every role that is not a superuser")
    stage.run(f"CREATE ROLE {APP} LOGIN PASSWORD 'first'")
    return stage


def test_another_password_and_another_limit_replace_the_previous_ones(stage: Stage) -> None:
    assert stage.migrate("first", 7) == []
    assert stage.role() == (7, TIMEOUTS)
    assert stage.migrate("sec'on d%", 9) == []
    assert stage.role() == (9, TIMEOUTS)
    assert stage.accepts("sec'on d%")
    assert not stage.accepts("first")


def test_a_restored_database_gets_the_password_of_the_stage(stage: Stage) -> None:
    with closing(connect(stage.url("boss", "b"))) as boss:  # the restored cluster has the roles of the snapshot
        boss.run(f"CREATE ROLE {APP} LOGIN PASSWORD 'of the snapshot'")
    assert stage.migrate("new") == []
    assert stage.accepts("new")


def test_notes_name_the_limits_of_a_role_that_the_owner_may_not_change(foreign: Stage) -> None:
    notes = foreign.migrate("first")
    assert [note.partition(":")[0] for note in notes] == [
        "the connection limit is -1, not 7",
        "idle_session_timeout is not set to 2min",
        "idle_in_transaction_session_timeout is not set to 5min",
    ]
    assert all(APP in note for note in notes)
    provision.limit_connections(foreign.server.superuser_url, Role(APP, ""), 7)
    assert foreign.migrate("first") == []


def test_a_password_that_the_owner_may_not_set_is_an_error_that_says_what_to_do(foreign: Stage) -> None:
    with pytest.raises(ConfigurationError, match="may not change it") as refused:
        foreign.migrate("s3cret")
    assert "s3cret" not in str(refused.value)
    assert f"run GRANT {APP} TO boss WITH ADMIN OPTION" in refused.value.detail
    foreign.run(f"GRANT {APP} TO boss WITH ADMIN OPTION")
    assert foreign.migrate("s3cret") == []
    assert foreign.accepts("s3cret")
    assert "s3cret" not in (foreign.server.home / "postgres.log").read_text()


def test_a_login_that_cannot_be_tried_is_a_temporary_error(foreign: Stage) -> None:
    foreign.run(f"ALTER ROLE {APP} CONNECTION LIMIT 0")
    with pytest.raises(DatabaseUnavailable):
        foreign.migrate("first")


def test_needless_rights_are_revoked_or_named(stage: Stage) -> None:
    stage.migrate("first")
    stage.run(f"ALTER ROLE {APP} CREATEROLE")
    assert stage.migrate("second", 8) == []
    stage.run(f"ALTER ROLE {APP} CREATEDB")
    may_revoke = int(stage.run("SHOW server_version_num")[0][0]) < 160_000  # since 16, this needs CREATEDB
    notes = stage.migrate("third", 9)
    assert [note.partition(":")[0] for note in notes] == (
        [] if may_revoke else [f"the role {APP} has the needless rights CREATEDB"]
    )
    assert stage.accepts("third")
    assert stage.role() == (9, TIMEOUTS)


def test_a_role_that_logs_in_with_tokens_has_no_password(stage: Stage) -> None:
    stage.run("CREATE ROLE rds_iam", "GRANT rds_iam TO boss WITH ADMIN OPTION")
    stage.migrate("first")
    assert not stage.logs_in_with_tokens()
    for _ in range(2):
        assert stage.migrate("") == []
        assert stage.logs_in_with_tokens()
        assert not stage.accepts("first")
        assert stage.run(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{APP}'") == [[None]]
    assert stage.migrate("again") == []  # RDS refuses the passwords of the members of rds_iam
    assert not stage.logs_in_with_tokens()
    assert stage.accepts("again")


@pytest.mark.parametrize("is_foreign", [False, True])
def test_the_log_of_a_server_that_logs_changes_has_no_password(
    stage: Stage, is_foreign: bool, request: pytest.FixtureRequest
) -> None:
    if is_foreign:
        request.getfixturevalue("foreign")
    stage.run("ALTER ROLE boss SET log_statement = 'mod'")
    try:
        with suppress(ConfigurationError):  # the owner may not change the role of somebody else
            stage.migrate("zebra's secret")
    finally:
        stage.run("ALTER ROLE boss RESET log_statement")
    logged = (stage.server.home / "postgres.log").read_text()
    assert is_foreign or f'GRANT SELECT ON "deployment" TO {APP}' in logged
    assert "zebra" not in logged


def test_logins_with_tokens_need_a_server_that_has_them(stage: Stage) -> None:
    with pytest.raises(ConfigurationError, match="add a password to the URL"):
        stage.migrate("")


def test_an_owner_who_may_not_grant_logins_with_tokens_is_told_what_to_do(stage: Stage) -> None:
    stage.run("CREATE ROLE rds_iam")
    if int(stage.run("SHOW server_version_num")[0][0]) < 160_000:
        pytest.skip("before Postgres 16, a role with CREATEROLE may grant every role that is not a superuser")
    with pytest.raises(ConfigurationError, match=f"run GRANT rds_iam TO {APP}"):
        stage.migrate("")


def test_the_event_has_the_password_of_the_owner(stage: Stage) -> None:
    stage.run("ALTER ROLE boss PASSWORD 'p:a/s@s'")
    event = {"owner_password": "p:a/s@s", "api_url": "https://api.example/api"}
    assert stage.migrate("first", owner="", event=event) == []
    with pytest.raises(Exception, match="authentication failed"):
        stage.migrate("first", owner="", event={"owner_password": "s3cret"})


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"owner_password": 3}, "owner_password of the migration's event must be a text"),
        ({"owner_password": ""}, "owner_password of the migration's event must be a text"),
        ({"api_url": "ftp://s3cret"}, "api_url=ftp://s3cret is not a URL of the form https://host"),
        ({"api_url": "https://"}, "is not a URL"),
        ({"password": "s3cret"}, "unknown members password"),
        ("s3cret", "must be a JSON object"),
    ],
)
def test_an_invalid_event_is_refused_before_anything_is_done(event: object, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as refused:
        migrate_stage({}, event)
    if reason != "api_url=ftp://s3cret is not a URL of the form https://host":
        assert "s3cret" not in str(refused.value)
