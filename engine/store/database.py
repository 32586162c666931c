"""How does hutong talk to PostgreSQL: connections, and the settings without which it will not?"""

from __future__ import annotations

import asyncio

import asyncpg

from engine.errors import ConfigurationError, HutongError, StorageError

Connection = asyncpg.Connection
"""One connection; one taken from a pool behaves the same."""

Pool = asyncpg.Pool

OLDEST_SERVER = 150_000
"""PostgreSQL 15, as `server_version_num` counts."""

DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
"""Settings that may not be off: without them a commit is a promise that a power cut breaks."""

SESSION = {"application_name": "hutong", "timezone": "UTC", "jit": "off"}

STATEMENTS = 500
"""Prepared statements kept per connection; the engine has a few hundred different ones at most."""


async def connect(url: str) -> asyncpg.Connection:
    """One connection. JSON columns are read and written as text: a float would lose the digits of a decimal.

    Raises ConfigurationError for an address that cannot be right, StorageError when the server cannot be reached now.
    """
    try:
        return await asyncpg.connect(url, server_settings=SESSION, statement_cache_size=STATEMENTS)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise _ours(error) from error


async def connect_by_index(url: str) -> asyncpg.Connection:
    """One connection for the hot path, whose few statements are known and find every row by an index.

    They are planned once, because planning costs more than running them; and their plans, made perhaps while the
    tables are empty, must be ones for millions of rows: a sequential scan that is cheapest today is not tomorrow.
    """
    connection = await connect(url)
    await connection.execute("set plan_cache_mode = force_generic_plan; set enable_seqscan = off")
    return connection


async def connect_pool(url: str, *, min_size: int = 1, max_size: int = 4) -> asyncpg.Pool:
    """Connections as `connect` makes them, `min_size` of them at once. Raises as it does."""
    try:
        return await asyncpg.create_pool(
            url,
            min_size=min_size,
            max_size=max_size,
            server_settings=SESSION,
            statement_cache_size=STATEMENTS,
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise _ours(error) from error


async def refuse_unsafe(connection: asyncpg.Connection) -> None:
    """Raises ConfigurationError for a server that could lose what it has committed, is too old or not in UTF-8."""
    found = await connection.fetchrow(
        """
        select current_setting('server_version_num')::int as number,
               current_setting('server_version') as version,
               current_setting('server_encoding') as encoding
        """
    )
    if found["number"] < OLDEST_SERVER:
        raise ConfigurationError(
            f"the database is PostgreSQL {found['version']}, and hutong needs 15 or later", code="database-too-old"
        )
    if found["encoding"] != "UTF8":
        raise ConfigurationError(
            f"the database is encoded in {found['encoding']}, and names need UTF8: "
            "create it with encoding 'UTF8' template template0",
            code="database-encoding",
        )
    off = [name for name in DURABLE if await connection.fetchval("select current_setting($1)", name) == "off"]
    if off:
        raise ConfigurationError(
            f"the database has {', '.join(off)} off, so an acknowledged message could be lost: set it to on "
            "(look at postgresql.conf, alter system, alter database and alter role)",
            code="database-not-durable",
        )


TRANSIENT = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InsufficientResourcesError,
)

LOST = (*TRANSIENT, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""The connection, or the server behind it, is not what it was: leave it and begin again.

asyncpg says InternalClientError to whoever uses a connection in the moment between the server's goodbye and its end.
"""

FAILED = (asyncpg.PostgresError, *LOST)
"""Whatever keeps the database from doing what it was asked."""


def end_if_cancelled() -> None:
    """Raises the cancellation of the current task that another error took the place of.

    A transaction that is cancelled rolls back; where the server has gone, that fails, and the task would live on.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _ours(error: Exception) -> HutongError:
    """An address of nobody is for a person to correct; a server that is away may come back."""
    if isinstance(error, TRANSIENT):
        return StorageError(f"the database cannot be reached: {_said(error)}", code="database-unreachable")
    return ConfigurationError(
        f"the database is refused: {_said(error)}; expected postgresql://USER@HOST:PORT/DATABASE "
        "and an account that may enter it",
        code="database-address",
    )


def _said(error: Exception) -> str:
    """What the system says, without the number it says it with."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
