"""Chooses the value of every setting of a stage, and notes the source of the value.

One error lists all invalid settings.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from chalicelib.core.settings import LOCAL, LOCALSTACK, Setting
from infra.errors import CloudError
from infra.settings.declaration import COMPUTED, OF_USERS, OTHERS, applying, default, passed, place

ENVIRONMENT, KEPT, DEFAULT = "environment", "kept", "default"
ALL = "ALL"  # RESET=ALL resets all settings
MASKED = "(hidden)"
_OURS = "HIREFLOW_"
_NAMES = tuple(one.name for one in OF_USERS)


@dataclass(frozen=True)
class Value:
    """`text` is empty if the setting has neither a value nor a default. `source` is ENVIRONMENT, KEPT or DEFAULT."""

    setting: Setting
    text: str = field(repr=False)
    source: str

    @property
    def shown(self) -> str:
        if self.setting.secret and self.source != DEFAULT:
            return MASKED
        return self.text or self.setting.shown.replace("`", "") or "none"


@dataclass(frozen=True)
class Chosen:
    """The settings that apply to a stage, by name."""

    stage: str
    values: Mapping[str, Value]

    def text(self, name: str) -> str:
        """Return the value as text, empty if the setting has none or does not apply to the stage."""
        return self.values[name].text if name in self.values else ""

    def read(self, name: str) -> Any:
        """Return the parsed value."""
        found = self.values[name]
        return found.setting.read(found.text)

    def given(self, name: str) -> bool:
        """Return whether the value is not the default, but comes from the environment or was kept."""
        return name in self.values and self.values[name].source != DEFAULT

    @property
    def authentication(self) -> bool:
        return bool(self.read("HIREFLOW_AUTH"))

    def of_functions(self) -> dict[str, str]:
        """Return the functions' environment variables that a user may set."""
        return {each.name: text for each in passed(self.stage) if (text := self.text(each.name))}

    def subscriptions(self) -> dict[str, str]:
        """Return the receivers of notices: for each protocol of SNS (email, http or https), its address or URL."""
        webhook = self.text("NOTICE_WEBHOOK")
        found = {"email": self.text("NOTICE_EMAIL"), webhook.partition(":")[0]: webhook}
        return {protocol: endpoint for protocol, endpoint in found.items() if endpoint}

    def differing(self, other: "Chosen") -> list[str]:
        """Return the names of the settings that have another value in `other`."""
        return [name for name in self.values if self.text(name) != other.text(name)]

    def to_keep(self) -> dict[str, str]:
        """Return the values that the stage has to keep. Paths are absolute."""
        found = {
            name: (value.text, self.read(name))
            for name, value in self.values.items()
            if value.source != DEFAULT and value.setting.kept
        }
        return {name: value if isinstance(value, str) else text for name, (text, value) in found.items()}


def choose(
    stage: str, env: Mapping[str, str], kept: Mapping[str, str], reset: Collection[str] = (), where: str = "kept"
) -> Chosen:
    """Choose the value of each setting: from the environment, else the kept value, else the default.

    Settings in `reset` lose their kept values. `where` names the place of the kept values in errors. Raises CloudError,
    which lists everything that is wrong. RESET=ALL works even if the kept values are invalid.
    """
    kept = {} if ALL in reset else kept
    chosen, wrong = _read(stage, env, kept, reset, where)
    values = chosen.values
    keepable = [name for name, value in values.items() if value.setting.kept]
    wrong += [
        f"{name} ({where}) is not a setting that stage {stage} keeps{_nearest(name, keepable)}"
        for name in kept
        if name not in keepable
    ]
    if any(f" ({where})" in each for each in wrong):
        wrong.append("RESET=ALL goes back to all defaults")
    _raise(wrong or list(_conflicts(chosen)))
    return chosen


def check(stage: str, env: Mapping[str, str], reset: Collection[str] = ()) -> None:
    """Check the environment alone, before the kept values are known. Raises CloudError."""
    _raise(_read(stage, env, {}, reset, "")[1])


def of_one_command(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the environment that no stage keeps."""
    return {one.name: env[one.name] for one in OF_USERS if not one.kept and env.get(one.name)}


def _raise(wrong: list[str]) -> None:
    if wrong:
        raise CloudError(f"nothing was changed: {'; '.join(wrong)}")


def _read(
    stage: str, env: Mapping[str, str], kept: Mapping[str, str], reset: Collection[str], where: str
) -> tuple[Chosen, list[str]]:
    """Return the settings, and the errors that concern a single setting. `_conflicts` finds the other errors."""
    values: dict[str, Value] = {}
    wrong = [*_unknown(env), *_not_resettable(stage, reset)]
    for each in applying(stage):
        value = _value(each, stage, env, {} if each.name in reset else kept)
        try:
            each.read(value.text)
        except ValueError as error:
            wrong.append(f"{error} ({where})" if value.source == KEPT else str(error))
        values[each.name] = value
    return Chosen(stage, values), wrong


def _value(each: Setting, stage: str, env: Mapping[str, str], kept: Mapping[str, str]) -> Value:
    given = env.get(each.name, "").strip()
    if given:
        return Value(each, given, ENVIRONMENT)
    if each.kept and kept.get(each.name):
        return Value(each, kept[each.name], KEPT)
    return Value(each, default(each, stage), DEFAULT)


def _unknown(env: Mapping[str, str]) -> Iterator[str]:
    known = {*OTHERS, *(each.name for each in (*OF_USERS, *COMPUTED))}
    for name in sorted(env):
        if name.startswith(_OURS) and name not in known:
            yield f"{name} is not a setting{_nearest(name, known)}"


def _not_resettable(stage: str, reset: Collection[str]) -> Iterator[str]:
    known = [each.name for each in applying(stage) if each.kept]
    for name in reset:
        if name not in (*known, ALL):
            yield f"RESET={name}: this is not a setting that stage {stage} keeps{_nearest(name, known)}"


def _nearest(name: str, known: Collection[str] = _NAMES) -> str:
    found = get_close_matches(name.upper(), known, 1)
    return f": did you mean {found[0]}?" if found else ""


def _conflicts(chosen: Chosen) -> Iterator[str]:
    """Yield errors about settings that contradict each other."""
    ports = [chosen.given(name) and chosen.read(name) for name in ("HIREFLOW_PORT", "HIREFLOW_PG_PORT")]
    if ports[0] and ports[0] == ports[1]:
        yield f"HIREFLOW_PORT and HIREFLOW_PG_PORT are both {ports[0]}: set different ports"
    if chosen.stage != LOCAL and not chosen.authentication:
        yield f"HIREFLOW_AUTH=off: only stage {LOCAL} may run without authentication, not stage {chosen.stage}"
    own = chosen.given("DATABASE_URL")
    if chosen.stage == LOCALSTACK and own != chosen.given("AWS_ENDPOINT_URL"):
        missing = "AWS_ENDPOINT_URL" if own else "DATABASE_URL"
        yield f"{missing} is not set: set both AWS_ENDPOINT_URL and DATABASE_URL, or neither"
    if place(chosen.stage) not in (LOCAL, LOCALSTACK):
        if chosen.text("NOTICE_WEBHOOK").startswith("http:"):
            yield "NOTICE_WEBHOOK must begin with https:// on AWS, because notices contain names of files"
        yield from _of_profile(chosen, own=own)


def _of_profile(chosen: Chosen, *, own: bool) -> Iterator[str]:
    """Yield an error for each setting that contradicts the profile. `own` says whether there is a DATABASE_URL."""
    profile = chosen.text("PROFILE")
    if own and profile not in ("", "existing"):
        yield (
            f"PROFILE={profile} needs no DATABASE_URL, because AWS runs its database: choose PROFILE=existing, or leave"
            " DATABASE_URL out (add RESET=DATABASE_URL if the stage has kept it)"
        )
    if own:
        if chosen.given("DATABASE_SNAPSHOT"):
            yield "DATABASE_SNAPSHOT is only for a database that AWS runs: leave out DATABASE_URL or DATABASE_SNAPSHOT"
        return
    if profile == "existing":
        yield "PROFILE=existing needs a DATABASE_URL: set it to the URL of your Postgres, or choose another profile"
    if chosen.text("DATABASE_TLS") == "disable":
        yield "DATABASE_TLS=disable needs a DATABASE_URL: RDS accepts the functions' login tokens only over TLS"
    if chosen.given("DATABASE_CA") and profile in ("", "standard"):
        yield (
            "DATABASE_CA is not for PROFILE=standard, because the system trusts the authority that signed the proxy's"
            " certificate: leave DATABASE_CA out, or choose another profile"
        )
