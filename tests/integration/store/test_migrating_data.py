"""A hub with data in it gets the parts and words of later versions, and loses nothing on the way."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from engine.store import finding_search, migrations
from engine.store.database import connect
from engine.store.embedded import EmbeddedPostgres
from engine.store.migrations import migrate
from engine.store.partitions import ensure_partitions
from tests.conftest import named
from tests.integration.store.test_partitions import envelope_id

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
FIRST = Path(migrations.__file__).parent / "0001_first_examination.sql"


async def test_outcomes_and_findings_of_a_first_hub_are_there_after_an_upgrade(
    embedded_postgres: EmbeddedPostgres, postgres_url: str
) -> None:
    administrator = await asyncpg.connect(postgres_url)
    await administrator.execute("create database of_before owner hutong")
    url = named(embedded_postgres.url, "of_before")
    connection = await connect(url)
    try:
        await connection.execute(FIRST.read_text(encoding="utf-8"))
        await connection.execute("create table alembic_version (version_num varchar(32) primary key)")
        await connection.execute("insert into alembic_version values ('0001')")
        new, old = envelope_id(AT), envelope_id(AT - timedelta(days=200))
        for identifier in (new, old):
            await connection.execute(
                "insert into journal "
                "values ($1, 'hl7v2', 'c', 'f', 'p', now(), 'ADT^A04', '1', '\\x00', '\\x0b', '\\x06')",
                identifier,
            )
            await connection.execute("insert into outcome values ($1, 'processed', now())", identifier)
        await connection.execute(
            "insert into finding (id, code, severity, text, envelope, found_at) "
            "values (gen_random_uuid(), 'x', 'warning', 'The check digit is wrong.', $1, $2)",
            old,
            AT - timedelta(days=200),
        )
        await connection.close()
        await asyncio.to_thread(migrate, url)
        connection = await connect(url)
        await ensure_partitions(connection, AT)
        parts = await connection.fetch("select envelope, tableoid::regclass::text as part from outcome")
        assert {row["envelope"]: row["part"] for row in parts} == {new: "outcome_2026_11", old: "outcome_default"}
        (found,) = await finding_search.by_words(connection, "check digit", 10)
        assert found.envelope == old
    finally:
        await connection.close()
        await administrator.execute("drop database of_before with (force)")
        await administrator.close()
