"""Makes tables of the settings: one with values for the terminal, and two with descriptions for docs/settings.md."""

from chalicelib.core.settings import AWS, EVERYWHERE, LOCAL, LOCALSTACK, Setting
from infra.settings.chosen import Chosen
from infra.settings.declaration import COMPUTED, OF_USERS

_PLACES = {
    EVERYWHERE: "all",
    (LOCAL,): "`local`",
    (LOCALSTACK,): "`localstack`",
    (AWS,): "on AWS",
    (LOCAL, LOCALSTACK): "`local`, `localstack`",
    (LOCALSTACK, AWS): "`localstack`, on AWS",
}


COLUMNS = ("setting", "value", "from")


def rows(chosen: Chosen) -> list[tuple[str, str, str]]:
    """Return every setting that applies, with its value and its source."""
    return [(name, value.shown, value.source) for name, value in chosen.values.items()]


def of_users() -> str:
    """Return a Markdown table of the settings that a user may choose."""
    lines = [
        f"| `{one.name}`{'' if one.kept else ' (not kept)'} | {_default(one)} | {one.kind.allowed}"
        f" | {_PLACES[one.stages]} | {one.about} |"
        for one in OF_USERS
    ]
    return "\n".join(["| setting | default | allowed | stages | |", "|---|---|---|---|---|", *lines])


def of_functions() -> str:
    """Return a Markdown table of the other variables, which the deployment computes for the functions."""
    return "\n".join(["| variable | |", "|---|---|", *(f"| `{s.name}` | {s.about} |" for s in COMPUTED)])


def _default(setting: Setting) -> str:
    default = f"`{setting.default}`" if setting.default else setting.shown
    return f"{default}, `{setting.local}` on stage `local`" if setting.local is not None else default
