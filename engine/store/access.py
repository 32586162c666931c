"""Whose token is this? Tokens are issued, recognised and revoked by their SHA-256; they themselves are kept nowhere."""

from __future__ import annotations

import os
import re
import secrets
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from engine.store.database import Connection

ADMINISTRATOR = "Administrator"
"""Holder of the token in DATA/admin.token. No configured user can have this name: theirs are lower case."""

_PREFIX = "hutong_"
"""Makes a token that leaked into a file or a chat recognisable."""
_RANDOM_BYTES = 32
_WELL_FORMED = re.compile(rf"{_PREFIX}[A-Za-z0-9_-]{{43}}")
_ADMIN_FILE = "admin.token"


async def issue(connection: Connection, user_name: str, at: datetime) -> str:
    """A new token of this user. It is told once, here."""
    token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    await _register(connection, token, user_name, at)
    return token


async def holder(connection: Connection, token: str) -> str | None:
    """The user whose live token this is; None for any other text.

    The lookup compares digests: how long it takes says nothing about a token that somebody guesses at.
    """
    if not _WELL_FORMED.fullmatch(token):
        return None
    name: str | None = await connection.fetchval(
        "select user_name from access_token where digest = $1 and revoked_at is null", _digest(token)
    )
    return name


async def revoke_all(connection: Connection, user_name: str, at: datetime) -> int:
    """Ends every live token of this user; returns how many there were."""
    status: str = await connection.execute(
        "update access_token set revoked_at = $2 where user_name = $1 and revoked_at is null", user_name, at
    )
    return int(status.rsplit(" ", 1)[1])


async def live_tokens(connection: Connection) -> dict[str, int]:
    """How many live tokens each user has."""
    rows = await connection.fetch(
        "select user_name, count(*) as live from access_token where revoked_at is null group by user_name"
    )
    return {row["user_name"]: row["live"] for row in rows}


async def ensure_admin_token(connection: Connection, data: Path, at: datetime) -> Path:
    """DATA/admin.token with a live administrator token, readable by its owner alone. Returns its path.

    A token that stands in the file already stays, also against a fresh database; one that was revoked does not.
    """
    path = data / _ADMIN_FILE
    token = _written(path)
    if token is not None:
        await _register(connection, token, ADMINISTRATOR, at)
        if await holder(connection, token) == ADMINISTRATOR:
            path.chmod(0o600)
            return path
    token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    await _register(connection, token, ADMINISTRATOR, at)
    _write(path, token)
    return path


async def _register(connection: Connection, token: str, user_name: str, at: datetime) -> None:
    await connection.execute(
        "insert into access_token (digest, user_name, created_at) values ($1, $2, $3) on conflict do nothing",
        _digest(token),
        user_name,
        at,
    )


def _written(path: Path) -> str | None:
    if not path.exists():
        return None
    token = path.read_text(encoding="ascii", errors="replace").strip()
    return token if _WELL_FORMED.fullmatch(token) else None


def _write(path: Path, token: str) -> None:
    """In one step and never readable by others: made beside it with its mode, flushed, renamed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(descriptor)
    beside.replace(path)


def _digest(token: str) -> bytes:
    return sha256(token.encode("ascii")).digest()
