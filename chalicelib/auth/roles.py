"""Declares the roles of tokens. A new role needs a line in the class `Role` and a migration of the table `tokens`.

Each route declares the role that it requires (see `api.http.access`). The command line and docs/api.md repeat the names
of the roles. Tests compare these names with this list.
"""

from enum import Enum


class Role(Enum):
    """A role includes the rights of all roles above it in this list, and adds the rights in its comment."""

    READER = "reader"  # read reports, loads and backups
    WRITER = "writer"  # upload and check rows and files
    OPERATOR = "operator"  # request restores

    def includes(self, other: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


ROLES = tuple(role.value for role in Role)
LOWEST, *_, HIGHEST = list(Role)  # every token has the rights of LOWEST; HIGHEST has all rights
