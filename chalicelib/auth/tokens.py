"""Creates, verifies and revokes bearer tokens. Each token has a role, and may have the right to see rows.

A token is `hf_<id>_<secret>`. The id is the primary key of the token's row. The row stores the SHA-256 of the secret,
but not the secret. A fast hash is enough, because nobody can guess the 256 random bits of a secret.
"""

import hmac
import re
import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import TypedDict

from chalicelib.auth.roles import ROLES, Rights, Role
from chalicelib.cloud.database import Session
from chalicelib.core import timestamps
from chalicelib.core.errors import NotFound, Unprocessable

_TOKEN = re.compile(r"hf_([0-9a-f]{16})_([0-9A-Za-z_-]{43})")
_NOBODY = bytes(32)  # a digest for unknown ids, so that an unknown id and a wrong secret take equally long


class NewToken(TypedDict):
    """`token` is the whole token. It is shown only once, because the database does not keep the secret. `rows`
    says whether its holder may see rows."""

    id: str
    role: str
    rows: bool
    note: str
    token: str


class RevokedToken(TypedDict):
    id: str
    revoked_at: str


class ListedToken(TypedDict):
    id: str
    role: str
    rows: bool
    note: str
    created_at: str
    revoked_at: str | None


def create(session: Session, role: str, note: str = "", *, rows: bool = False) -> NewToken:
    """Create a token with this role. With `rows`, the token also has the right to see rows. Only the first 200
    characters of `note` are kept. Raises Unprocessable if the role is unknown."""
    if role not in ROLES:
        raise Unprocessable(f"role must be one of {', '.join(ROLES)}")
    token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    session.run(
        "INSERT INTO tokens (id, role, rows, note, digest) VALUES (:id, :role, :rows, :note, :digest)",
        id=token_id,
        role=role,
        rows=rows,
        note=note[:200],
        digest=_digest(secret),
    )
    return {
        "id": token_id,
        "role": role,
        "rows": Rights(Role(role), rows).may_see_rows,
        "note": note[:200],
        "token": f"hf_{token_id}_{secret}",
    }


def rights_of(session: Session, token: str) -> Rights | None:
    """Return the rights of a token, or None if the token is unknown or revoked."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    token_id, secret = match.groups()
    found = session.run("SELECT role, rows, digest FROM tokens WHERE id = :id AND revoked_at IS NULL", id=token_id)
    role, rows, digest = found[0] if found else (None, False, _NOBODY)
    return Rights(Role(role), rows) if hmac.compare_digest(_digest(secret), digest) else None


def revoke(session: Session, token: str) -> RevokedToken:
    """Revoke a token. `token` is the whole token or its id. The next request with this token is refused.

    If the token is already revoked, nothing changes. Raises NotFound if the token is unknown.
    """
    match = _TOKEN.fullmatch(token)
    token_id = match[1] if match else token
    rows = session.run(
        "UPDATE tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = :id RETURNING revoked_at", id=token_id
    )
    if not rows:
        raise NotFound("there is no such token")
    return {"id": token_id, "revoked_at": timestamps.text(rows[0][0], "seconds")}


def listed(session: Session) -> list[ListedToken]:
    """Return all tokens, newest first, without their secrets."""
    found = session.run("SELECT id, role, rows, note, created_at, revoked_at FROM tokens ORDER BY created_at DESC, id")
    return [
        {
            "id": token_id,
            "role": role,
            "rows": Rights(Role(role), rows).may_see_rows,
            "note": note,
            "created_at": timestamps.text(created_at, "seconds"),
            "revoked_at": revoked_at and timestamps.text(revoked_at, "seconds"),
        }
        for token_id, role, rows, note, created_at, revoked_at in found
    ]


def administer(session: Session, order: Mapping[str, object]) -> NewToken | RevokedToken | list[ListedToken]:
    """Carry out an order of an operator: {"action": "create", "role", "note", "rows"}, {"action": "revoke", "token"}
    or {"action": "list"}. Raises Unprocessable, NotFound."""
    action = order.get("action")
    if action == "create":
        rows = order.get("rows", False)
        if not isinstance(rows, bool):
            raise Unprocessable("rows must be true or false")
        return create(session, str(order.get("role")), str(order.get("note") or ""), rows=rows)
    if action == "revoke":
        return revoke(session, str(order.get("token")))
    if action == "list":
        return listed(session)
    raise Unprocessable("action must be one of create, revoke, list")


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
