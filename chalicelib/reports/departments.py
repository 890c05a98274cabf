"""Finds a department by its name, and suggests similar names if there is none."""

from difflib import get_close_matches

from chalicelib.cloud.database import Session
from chalicelib.core.errors import Unprocessable

_MOST_LISTED = 5  # the most names or ids that an error lists
_MOST_COMPARED = 2000  # the most names that are compared with an unknown name
_LONGEST = 60  # the most characters of a name in an error


def id_of(session: Session, name: str, given_id: int | None = None) -> int:
    """Return the id of the department with this name. A name that matches exactly is preferred. If no name matches
    exactly, case is ignored.

    If several departments have the name, `given_id` selects one of them. Raises Unprocessable if no department or more
    than one department is left. The message then has similar names, or the ids of the departments.
    """
    wanted = name.replace("\0", "").strip()  # Postgres stores no NUL in a text
    rows = session.run(
        "SELECT id, department FROM departments WHERE lower(department) = lower(:name) ORDER BY id", name=wanted
    )
    ids = [int(row[0]) for row in rows if row[1] == wanted] or [int(row[0]) for row in rows]
    if not ids:
        near = _near(session, wanted)
        hint = f": similar names are {', '.join(map(_cut, near))}" if near else ""
        raise Unprocessable(f"there is no department {_cut(wanted)}{hint}")
    if given_id is None and len(ids) == 1:
        return ids[0]
    if given_id in ids:
        return given_id
    listed = " or ".join(map(str, ids[:_MOST_LISTED])) + (" or …" if len(ids) > _MOST_LISTED else "")
    is_several = f"is the name of {len(ids)} departments"
    problem = is_several if given_id is None else f"is not the name of department {given_id}"
    raise Unprocessable(f"{_cut(wanted)} {problem}: give department_id {listed}")


def _near(session: Session, name: str) -> list[str]:
    """Return the names that contain `name`. If there are none, return similar names."""
    if not name:
        return []
    containing = session.run(
        "SELECT DISTINCT department FROM departments WHERE position(lower(:name) in lower(department)) > 0"
        f" ORDER BY department LIMIT {_MOST_LISTED}",
        name=name,
    )
    if containing:
        return [str(row[0]) for row in containing]
    of_similar_length = session.run(
        "SELECT DISTINCT department, abs(length(department) - length(:name)) AS longer FROM departments"
        f" ORDER BY longer, department LIMIT {_MOST_COMPARED}",
        name=name,
    )
    names = {str(row[0]).lower(): str(row[0]) for row in of_similar_length}
    return [names[match] for match in get_close_matches(name.lower(), names, _MOST_LISTED)]


def _cut(name: str) -> str:
    return repr(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…")
