"""The department that somebody names, or what they may have meant."""

from difflib import get_close_matches

from chalicelib.cloud.database import Session
from chalicelib.core.errors import Unprocessable

_SHOWN = 5  # names or ids that an error lists
_LOOKED_AT = 2000  # names that are compared with one that nobody has
_LONGEST = 60  # characters of a name in an error


def id_of(session: Session, name: str, known: int | None = None) -> int:
    """The id of the department of this name; capitals only count to tell two apart.

    Of several with the name it is the `known` one. Raises Unprocessable, with names that are near if nobody has this
    one, and with the ids if several have it.
    """
    wanted = name.replace("\0", "").strip()  # which no text in the database holds
    rows = session.run(
        "SELECT id, department FROM departments WHERE lower(department) = lower(:name) ORDER BY id", name=wanted
    )
    ids = [int(row[0]) for row in rows if row[1] == wanted] or [int(row[0]) for row in rows]
    if not ids:
        near = _near(session, wanted)
        told = f": near are {', '.join(map(_cut, near))}" if near else ""
        raise Unprocessable(f"there is no department {_cut(wanted)}{told}")
    if known is None and len(ids) == 1:
        return ids[0]
    if known in ids:
        return known
    listed = " or ".join(map(str, ids[:_SHOWN])) + (" or …" if len(ids) > _SHOWN else "")
    told = f"is the name of {len(ids)} departments" if known is None else f"is not the name of department {known}"
    raise Unprocessable(f"{_cut(wanted)} {told}: give department_id {listed}")


def _near(session: Session, name: str) -> list[str]:
    """Names that hold this one, or else look like it."""
    if not name:
        return []
    holding = session.run(
        "SELECT DISTINCT department FROM departments WHERE position(lower(:name) in lower(department)) > 0"
        f" ORDER BY department LIMIT {_SHOWN}",
        name=name,
    )
    if holding:
        return [str(row[0]) for row in holding]
    alike = session.run(
        "SELECT DISTINCT department, abs(length(department) - length(:name)) AS longer FROM departments"
        f" ORDER BY longer, department LIMIT {_LOOKED_AT}",
        name=name,
    )
    names = {str(row[0]).lower(): str(row[0]) for row in alike}
    return [names[found] for found in get_close_matches(name.lower(), names, _SHOWN)]


def _cut(name: str) -> str:
    return repr(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…")
