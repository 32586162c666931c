"""What must be true of the database before anything runs, and stay true for months?"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import asyncpg

from engine.clock import now
from engine.errors import StorageError
from engine.store.database import connect, refuse_unsafe

logger = logging.getLogger(__name__)

PARTITION_CHECK_SECS = 6 * 3600.0


async def prepare(database_url: str, data: Path) -> None:
    """What must be true of the database before anything runs: schema, partitions, durability, an administrator."""
    from engine.store.access import ensure_admin_token
    from engine.store.migrations import migrate
    from engine.store.partitions import ensure_partitions

    await asyncio.to_thread(migrate, database_url)
    connection = await connect(database_url)
    try:
        await refuse_unsafe(connection)
        await ensure_partitions(connection, now())
        await ensure_admin_token(connection, data, now())
    finally:
        await connection.close()


async def keep_partitions(database_url: str) -> None:
    """A hub that runs for months still has a journal partition for next month."""
    from engine.store.partitions import ensure_partitions

    while True:
        await asyncio.sleep(PARTITION_CHECK_SECS)
        try:
            connection = await connect(database_url)
            try:
                await ensure_partitions(connection, now())
            finally:
                await connection.close()
        except (StorageError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            # Partitions are made months ahead, and the default one takes what has none: the next turn is early enough.
            logger.warning("partitions were not looked after: %s", type(error).__name__)
