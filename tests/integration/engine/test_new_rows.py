"""New resources stand in their rows as they were written: every column, whatever they hold, however many there are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from engine.clock import now
from engine.store import records
from engine.store.records import Change, VersionConflict
from engine.store.tokens import tokens_of

ENVELOPE = UUID("01a2029f-2928-7000-b82d-905cf8ee6f91")
AT = datetime(2026, 4, 1, 8, 30, 1, 999_999, tzinfo=UTC)
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "name": [{"text": "石\U00020000\t\x1e\x1f\\兰"}],
    "identifier": [{"system": "urn:a|b", "value": "1\x1f2"}],
}


async def test_every_column_is_what_the_change_says(pool: asyncpg.Pool) -> None:
    untold = {"resourceType": "Basic", "id": "石-1"}
    async with pool.acquire() as connection:
        await records.put_many(
            connection, [Change(PATIENT, envelope=ENVELOPE, mapping="ADT_A04@1"), Change(untold, actor="王")], AT
        )
        rows = await connection.fetch(
            """
            select type, id, version, last_updated, tokens, envelope, actor, mapping from resource
            where type in ('Basic', 'Patient') order by type
            """
        )
        stored = await records.read(connection, "Patient", "p1")
    assert [tuple(row) for row in rows] == [
        ("Basic", "石-1", 1, AT, [], None, "王", None),
        ("Patient", "p1", 1, AT, tokens_of(PATIENT), ENVELOPE, None, "ADT_A04@1"),
    ]
    assert stored is not None
    assert stored.body == PATIENT


async def test_many_and_large_ones_travel_in_pieces(pool: asyncpg.Pool) -> None:
    large = [{"resourceType": "Binary", "id": f"b{number}", "data": "A" * 100_000 * number} for number in range(12)]
    async with pool.acquire() as connection:
        await records.put_many(connection, [Change(each, actor="a") for each in large], now())
        kept = await connection.fetch("select length(body ->> 'data') as length from resource where type = 'Binary'")
    assert sorted(row["length"] for row in kept) == [100_000 * number for number in range(12)]


async def test_one_that_somebody_else_made_meanwhile_is_a_conflict_and_nothing_is_written(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await records.put_many(connection, [Change(PATIENT, actor="a")], now())
        other = {"resourceType": "Basic", "id": "other"}
        with pytest.raises(VersionConflict):
            async with connection.transaction():
                await records.write(connection, [Change(PATIENT, actor="b"), Change(other, actor="b")], now())
        assert await records.read(connection, "Basic", "other") is None


async def test_tokens_come_in_the_order_in_which_the_index_sorts_them(pool: asyncpg.Pool) -> None:
    observation = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "identifier": [{"system": "urn:z", "value": "9"}, {"system": "urn:a", "value": "1"}],
        "code": {"coding": [{"system": "urn:z", "code": "血"}, {"system": "urn:a", "code": "B"}]},
        "category": [{"coding": [{"code": "laboratory"}]}, {"coding": [{"system": "urn:c", "code": "LAB"}]}],
        "subject": {"reference": "Patient/p1"},
        "encounter": {"reference": "Encounter/e1"},
    }
    async with pool.acquire() as connection:
        await records.put_many(connection, [Change(observation, actor="a")], now())
        tokens = await connection.fetchval("select tokens from resource where type = 'Observation'")
    assert tokens == sorted(tokens)
    assert len(tokens) == 15
