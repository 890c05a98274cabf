"""The settings as tables: in the terminal with their values, in the README with what they do."""

from collections.abc import Iterable, Iterator

from chalicelib.settings import AWS, EVERYWHERE, LOCAL, LOCALSTACK, Setting
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


def lines(chosen: Chosen) -> Iterator[str]:
    """Every setting that applies, with its value and where that comes from."""
    rows = [("setting", "value", "from"), *((name, v.shown, v.source) for name, v in chosen.values.items())]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return (f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}" for name, value, source in rows)


def of_users(settings: Iterable[Setting] = OF_USERS) -> str:
    """What a user may set, in Markdown."""
    rows = [
        f"| `{one.name}`{'' if one.kept else ' (not kept)'} | {_default(one)} | {one.kind.allowed}"
        f" | {_PLACES[one.stages]} | {one.about} |"
        for one in settings
    ]
    return "\n".join(["| setting | default | allowed | stages | |", "|---|---|---|---|---|", *rows])


def of_functions(settings: Iterable[Setting] = COMPUTED) -> str:
    """What the deployment gives the functions besides, in Markdown."""
    return "\n".join(["| variable | |", "|---|---|", *(f"| `{s.name}` | {s.about} |" for s in settings)])


def _default(setting: Setting) -> str:
    default = f"`{setting.default}`" if setting.default else setting.shown
    return f"{default}, `{setting.local}` on stage `local`" if setting.local is not None else default
