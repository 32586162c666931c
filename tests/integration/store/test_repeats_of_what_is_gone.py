"""A repeat of what the journal keeps no more is a new message: it is never acknowledged without being kept."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from random import Random

import asyncpg

from engine.envelope import Envelope, EnvelopeIds, Kind
from engine.store import journal
from engine.store.database import connect_by_index
from engine.store.journal import Entry

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
IDS = EnvelopeIds(Random(5).getrandbits)


def entry(content: bytes = b"c") -> Entry:
    envelope = Envelope(
        IDS.next(AT), Kind.HL7V2, "his", "baishi", "p", AT, "C1", "ADT^A04", b"MSH|" + content, b"s" * 32, ("baishi|1",)
    )
    return Entry(envelope, b"AA", b"k" * 16, content)


async def test_a_key_whose_envelope_is_gone_acknowledges_nothing(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        first, again = entry(), entry()
        assert await journal.append(connection, [first]) == {}
        await connection.execute("delete from journal")
        async with asyncio.timeout(60):
            assert await journal.append(connection, [again, entry(b"other")]) == {}
        assert await connection.fetchval("select payload from journal where id = $1", again.envelope.id) == b"MSH|c"
        assert (await journal.append(connection, [entry()])).popitem()[1].envelope == again.envelope.id


async def test_a_repeat_that_meets_a_prune_waits_for_it_and_is_kept(database_url: str, pool: asyncpg.Pool) -> None:
    taking = await connect_by_index(database_url)
    try:
        await journal.append(taking, [entry()])
        async with pool.acquire() as pruning:
            transaction = pruning.transaction()
            await transaction.start()
            await pruning.execute("delete from repeat_guard; delete from journal; delete from inbox; delete from lane")
            again = entry()
            task = asyncio.create_task(journal.append(taking, [again]))
            async with asyncio.timeout(60):
                while not await pool.fetchval(
                    "select exists (select from pg_locks l join pg_stat_activity a using (pid) "
                    "where not l.granted and a.datname = current_database())"
                ):
                    assert not task.done()
                    await asyncio.sleep(0)
            await transaction.commit()
            assert await task == {}
        assert await pool.fetchval("select array_agg(id) from journal") == [again.envelope.id]
    finally:
        taking.terminate()
