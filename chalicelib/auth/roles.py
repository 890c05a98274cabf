"""The roles of tokens, declared once. A new role is a line here and a migration of the table `tokens`.

A route says itself which role it asks for (see `api.http.access`). The command line and docs/api.md repeat the names of
the roles; tests hold them to this list.
"""

from enum import Enum


class Role(Enum):
    """Each may do what those before it may, and what is said here."""

    READER = "reader"  # read: reports, loads, backups
    WRITER = "writer"  # upload rows and files, and check these
    OPERATOR = "operator"  # order restores

    def includes(self, other: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


ROLES = tuple(role.value for role in Role)
LOWEST, *_, HIGHEST = list(Role)  # what every token may do, and what may do everything
