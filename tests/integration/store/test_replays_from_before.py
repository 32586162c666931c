"""What was replayed before every time was kept: a replay that came to nothing is told as one, with its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg

from engine.store import migrations, processings
from engine.store.database import connect
from engine.store.embedded import EmbeddedPostgres
from tests.conftest import named

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
REFUSED, REPLAYED = UUID(int=1), UUID(int=2)
BEFORE = ("0001", "0002", "0003", "0006", "0016")


async def test_a_replay_that_was_refused_is_told_as_one(embedded_postgres: EmbeddedPostgres, postgres_url: str) -> None:
    administrator = await asyncpg.connect(postgres_url)
    await administrator.execute("create database of_replays owner hutong")
    folder = Path(migrations.__file__).parent
    try:
        connection = await connect(named(embedded_postgres.url, "of_replays"))
        for file in sorted(folder.glob("*.sql")):
            if file.name.partition("_")[0] in BEFORE:
                await connection.execute(file.read_text(encoding="utf-8"))
        await connection.execute(
            "insert into outcome (envelope, state, finished_at, mapping, replayed_by, replay_run, replay) "
            "values ($1, 'processed', $2, 'A@1', 'wang', gen_random_uuid(), '{\"refused\": \"not-identified\"}')",
            REFUSED,
            AT,
        )
        await connection.execute(
            "insert into finding (id, code, severity, text, envelope, found_at) "
            "values (gen_random_uuid(), 'replay-refused', 'warning', '', $1, $2)",
            REFUSED,
            AT + timedelta(hours=1),
        )
        await connection.execute(
            """
            insert into outcome (envelope, state, finished_at, mapping, replayed_at, replayed_by, replay_run, replay)
            values ($1, 'processed', $2, 'A@2', $3, 'wang', gen_random_uuid(), '{"left": [], "stays": []}')
            """,
            REPLAYED,
            AT,
            AT + timedelta(hours=2),
        )
        await connection.execute((folder / "0019_every_processing.sql").read_text(encoding="utf-8"))
        told = await processings.of_envelopes(connection, [REFUSED, REPLAYED])
        assert [(each.at, each.state, each.mapping, each.by) for each in told[REFUSED]] == [
            (AT, "processed", "A@1", None),
            (AT + timedelta(hours=1), "replay-refused", None, "wang"),
        ]
        assert [(each.at, each.state, each.mapping, each.by) for each in told[REPLAYED]] == [
            (AT, "processed", None, None),
            (AT + timedelta(hours=2), "processed", "A@2", "wang"),
        ]
        await connection.close()
    finally:
        await administrator.execute("drop database of_replays with (force)")
        await administrator.close()
