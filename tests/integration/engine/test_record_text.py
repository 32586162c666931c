"""A resource is kept as the text that was written, and only what the database can give back is written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from engine.clock import now
from engine.errors import RecordError
from engine.store import reading, records
from engine.store.records import Change

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o1",
    "meta": {"profile": ["urn:example"], "versionId": "77"},
    "valueQuantity": {"value": Decimal("5.10"), "unit": "mmol/L"},
    "subject": {"reference": "Patient/p1"},
}


async def test_members_are_handed_on_word_for_word(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await records.put_many(connection, [Change(OBSERVATION, actor="a")], now())
        text = await reading.current(connection, "Observation", "o1")
    assert text is not None
    assert text.json.startswith('{"resourceType":"Observation","id":"o1","meta":{"versionId":"1","lastUpdated":"')
    assert text.json.endswith(
        '","profile":["urn:example"]},"valueQuantity":{"value":5.10,"unit":"mmol/L"},"subject":{"reference":"Patient/p1"}}'
    )
    assert text.person == "Patient/p1"


@pytest.mark.parametrize(("element", "person"), [("for", "Patient/p2"), ("patient", "Patient/p2"), ("focus", None)])
async def test_whose_data_it_is_stands_in_one_of_three_elements(
    pool: asyncpg.Pool, element: str, person: str | None
) -> None:
    async with pool.acquire() as connection:
        body = {"resourceType": "Task", "id": "t1", "subject": {"display": "?"}, element: {"reference": "Patient/p2"}}
        await records.put_many(connection, [Change(body, actor="a")], now())
        text = await reading.current(connection, "Task", "t1")
    assert text is not None
    assert text.person == person


async def test_a_character_that_no_text_of_the_database_holds_is_refused_by_name(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        with pytest.raises(RecordError, match=r"Patient/p1 holds the character U\+0000"):
            await records.put_many(
                connection,
                [Change({"resourceType": "Patient", "id": "p1", "name": [{"text": "石\x00兰"}]}, actor="a")],
                now(),
            )


async def test_the_letters_backslash_u0000_are_only_letters(pool: asyncpg.Pool) -> None:
    body = {"resourceType": "Patient", "id": "p1", "name": [{"text": r"石\u0000\兰"}]}
    async with pool.acquire() as connection:
        await records.put_many(connection, [Change(body, actor="a")], now())
        stored = await records.read(connection, "Patient", "p1")
    assert stored is not None
    assert stored.body == body
