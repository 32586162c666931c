"""How does a database get the tables of this version? Forward only, one SQL file per step.

`versions/` holds a step of Alembic for each `.sql` file beside this one.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.store.database import connect, refuse_unsafe

LOCK = 0x68757467
"""Advisory lock: of several processes that start at once, one migrates and the others find it done."""


def migrate(url: str) -> None:
    """Brings a database up to date; one that is stays as it is. One transaction: all of it or nothing.

    Refuses an unsafe server first (ConfigurationError). Alembic stays in memory after this: a long-lived process
    calls it in a child of its own. Not inside a running event loop, and in one thread at a time, as Alembic is made.
    """
    asyncio.run(_migrate(url))


async def _migrate(url: str) -> None:
    connection = await connect(url)
    try:
        await refuse_unsafe(connection)
    finally:
        await connection.close()
    # Imported here, because most processes import this package's neighbours and never migrate.
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: connect(url), poolclass=NullPool)
    try:
        async with engine.begin() as session:
            await session.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _upgrade(session: object) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = session
    command.upgrade(config, "head")
