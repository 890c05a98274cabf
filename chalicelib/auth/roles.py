"""Declares the roles of tokens, and the right to see rows, which a token may have beside its role. A new role needs a
line in the class `Role` and a migration of the table `tokens`.

Each route declares what it requires (see `api.http.access`). The command line and docs/api.md repeat the names of the
roles. Tests compare these names with this list.
"""

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """A role includes the rights of all roles above it in this list, and adds the rights in its comment."""

    READER = "reader"  # read reports, loads and backups, but no rows
    WRITER = "writer"  # upload and check rows and files, and see rejected rows
    OPERATOR = "operator"  # request restores

    def includes(self, other: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


ROLES = tuple(role.value for role in Role)
LOWEST, *_, HIGHEST = list(Role)  # every token has the rights of LOWEST; HIGHEST has all rights
ROWS = "rows"  # the name of the right to see rows


@dataclass(frozen=True)
class Rights:
    """Says what the holder of a token may do. `rows` says whether the token was given the right to see rows. The
    highest role includes this right."""

    role: Role
    rows: bool = False

    @property
    def may_see_rows(self) -> bool:
        return self.rows or self.role is HIGHEST


@dataclass(frozen=True)
class Need:
    """Says what a caller needs for an action: a role. If `or_rows` is true, the right to see rows is enough, too."""

    role: Role
    or_rows: bool = False

    def is_met_by(self, rights: Rights) -> bool:
        return rights.role.includes(self.role) or (self.or_rows and rights.may_see_rows)

    def __str__(self) -> str:
        return f"the role {self.role.value}" + (f" or the right {ROWS}" if self.or_rows else "")


REJECTED_ROWS = Need(Role.WRITER, or_rows=True)  # a sender of rows has to see which rows were rejected
