"""What application entities were owed before it stood in the outbox is owed there, in its old order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from engine.store import migrations, notifications
from engine.store.database import connect
from engine.store.embedded import EmbeddedPostgres
from tests.conftest import named

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
DATA_SET = bytes(range(256)) * 3
BEFORE = ("0001", "0002", "0011", "0014")


async def test_what_was_owed_is_owed_still(embedded_postgres: EmbeddedPostgres, postgres_url: str) -> None:
    administrator = await asyncpg.connect(postgres_url)
    await administrator.execute("create database of_notifications owner hutong")
    url = named(embedded_postgres.url, "of_notifications")
    folder = Path(migrations.__file__).parent
    try:
        connection = await connect(url)
        for file in sorted(folder.glob("*.sql")):
            if file.name.partition("_")[0] in BEFORE:
                await connection.execute(file.read_text(encoding="utf-8"))
        for place, (destination, about, state) in enumerate(OWED):
            await connection.execute(
                """
                insert into notification (destination, operation, sop_class, sop_uid, transfer_syntax, data_set, about,
                                          state, created_at, next_attempt_at)
                values ($1, 'n-set', '1.2', '1.3', '1.2.840.10008.1.2', $2, $3, $4, $5, $5)
                """,
                destination,
                DATA_SET,
                about,
                state,
                AT - timedelta(seconds=place % 2),
            )
        await connection.execute(
            "insert into commitment (transaction_uid, channel, facility, other, by_us, first, asked_at) "
            "values ('1.7', '', 'baishi', 'endpoint:archive', true, true, now())"
        )
        moving = (folder / "0015_notifications_are_deliveries.sql").read_text(encoding="utf-8")
        await connection.execute(moving)
        rows = await connection.fetch("select endpoint, control_id, state, payload from delivery order by id")
        assert [(row["endpoint"], row["control_id"], row["state"]) for row in rows] == [
            ("archive", "1.7", "owed"),
            ("ae:imaging/DR", "1.3", "delivered"),
            ("archive", "1.8", "refused"),
            ("archive", "1.9", "owed"),
        ]
        for row in rows:
            message = notifications.read(row["payload"])
            assert (message.operation, message.sop_uid, message.data_set) == ("n-set", "1.3", DATA_SET)
        assert await connection.fetchval("select other from commitment") == "archive"
        due = await notifications.claim(connection, "archive", AT, AT)
        assert due is not None
        assert due.control_id == "1.7"
        (new,) = await notifications.owe(
            connection, [notifications.Owed("archive", notifications.read(due.payload), "new", None, "commits")], AT
        )
        assert new.id > due.id
        await connection.close()
    finally:
        await administrator.execute("drop database of_notifications with (force)")
        await administrator.close()


OWED = [
    ("endpoint:archive", "Commitment/1.7", "owed"),
    ("ae:imaging/DR", "PerformedStep/1.3", "delivered"),
    ("endpoint:archive", "Study/1.8", "refused"),
    ("endpoint:archive", "Study/1.9", "owed"),
]
