"""Several workers share patients, doctors and counters: nothing is lost, nothing doubled, nobody waits in a circle."""

from __future__ import annotations

import asyncpg
import pytest

from engine import pipeline as pipeline_module
from engine.clock import now
from engine.config import Community
from engine.mapping import MappingSet
from engine.store import records, worklist
from engine.store.records import Change, VersionConflict
from engine.store.worklist import NumberTaken
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import card, in_utf8, order, register
from tests.integration.engine.workers import blocked, recorded, run_together, started

CARD = "110105196305121226"
DOCTOR = {"resourceType": "Practitioner", "id": "d1"}


async def test_two_workers_with_shared_doctors_and_counters_lose_nothing(
    hub: Hub, community: Community, mappings: MappingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "BATCH", 4)
    for n in range(24):
        await hub.send("baishi-his", order(f"B{n}", patient=f"BS{n}", control_id=f"B{n}"))
        there = order(f"Q{n}", patient=f"QX{n}", control_id=f"Q{n}", sender="QXZWSY")
        await hub.send("qingxi-his", in_utf8(there))
    await run_together(hub, community, mappings, workers=3)

    assert await hub.held() == 0
    assert await hub.pool.fetchval("select count(*) from outcome where state = 'processed'") == 48
    rows = await hub.pool.fetch("select facility, accession from worklist")
    assert len({(row["facility"], row["accession"]) for row in rows}) == 48
    assert len(await hub.resources("Task")) == 48
    assert len(await hub.resources("Practitioner")) == 2
    assert await hub.pool.fetchval("select deadlocks from pg_stat_database where datname = current_database()") == 0


async def test_workers_that_meet_in_one_person_keep_all_of_them(
    hub: Hub, community: Community, mappings: MappingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Different lanes, one golden Patient: every message wants to write it."""
    monkeypatch.setattr(pipeline_module, "BATCH", 2)
    for n in range(10):
        for person in range(2):
            number = card(person)
            await hub.send("baishi-his", register(f"BS{person}-{n}", card=number, control_id=f"B{person}-{n}"))
            there = register(f"QX{person}-{n}", card=number, control_id=f"Q{person}-{n}", sender="QXZWSY")
            await hub.send("qingxi-his", in_utf8(there))
    await run_together(hub, community, mappings, workers=3)

    assert await hub.held() == 0
    golden = [p for p in await hub.resources("Patient") if "link" in p]
    assert [len(person["link"]) for person in golden] == [20, 20]
    assert sorted(person["identifier"][0]["value"] for person in golden) == sorted([card(0), card(1)])
    assert await hub.pool.fetchval("select deadlocks from pg_stat_database where datname = current_database()") == 0


async def test_updates_of_one_patient_end_in_the_order_they_came(
    hub: Hub, community: Community, mappings: MappingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "BATCH", 2)
    for n in range(6):
        for patient in range(4):
            await hub.send(
                "baishi-his", register(f"BS{patient}", name=f"石^第{n}", control_id=f"R{patient}-{n}", event="A08")
            )
    await run_together(hub, community, mappings, workers=3)
    sources = [p for p in await hub.resources("Patient") if "link" not in p]
    assert [p["name"][0]["given"] for p in sources] == [["第5"]] * 4
    assert await hub.pool.fetchval("select count(*) from outcome where state = 'processed'") == 24


async def test_of_two_that_replace_one_version_the_second_starts_again(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as first, pool.acquire() as second:
        await records.write(first, [Change(DOCTOR, actor="a", expect_version=0)], now())
        mine, theirs = first.transaction(), second.transaction()
        await mine.start()
        await theirs.start()
        await records.write(first, [Change({**DOCTOR, "active": True}, actor="a", expect_version=1)], now())
        other = started(
            records.write(second, [Change({**DOCTOR, "active": False}, actor="b", expect_version=1)], now())
        )
        await blocked(pool, other)
        await mine.commit()
        with pytest.raises(VersionConflict):
            await other
        await theirs.rollback()
    assert await pool.fetchval("select body ->> 'active' from resource") == "true"
    assert await pool.fetchval("select count(*) from resource_history") == 1


async def test_of_two_that_create_one_resource_the_second_starts_again(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as first, pool.acquire() as second:
        mine, theirs = first.transaction(), second.transaction()
        await mine.start()
        await theirs.start()
        await records.write(first, [Change(DOCTOR, actor="a", expect_version=0)], now())
        other = started(records.write(second, [Change(DOCTOR, actor="b", expect_version=0)], now()))
        await blocked(pool, other)
        await mine.commit()
        with pytest.raises(VersionConflict):
            await other
        await theirs.rollback()


async def test_one_card_from_two_facilities_at_one_moment_is_one_golden_patient(
    hub: Hub, community: Community, mappings: MappingSet
) -> None:
    await hub.send("baishi-his", register(card=CARD))
    await hub.send("qingxi-his", in_utf8(register("QX7", card=CARD, sender="QXZWSY")))
    async with hub.pool.acquire() as first, hub.pool.acquire() as second:
        mine, theirs = first.transaction(), second.transaction()
        await mine.start()
        await theirs.start()
        await recorded(hub, first, community, mappings)
        other = started(recorded(hub, second, community, mappings))
        await blocked(hub.pool, other)
        await mine.commit()
        await other
        await theirs.commit()
    (golden,) = await hub.pool.fetch("select golden, count(*) as sources from patient_link group by golden")
    assert golden["sources"] == 2
    holder = await hub.pool.fetchval("select golden from person_key")
    assert holder == golden["golden"]


async def test_an_accession_that_another_transaction_gives_away_meanwhile_is_tried_again(
    hub: Hub, community: Community, mappings: MappingSet
) -> None:
    await hub.send("baishi-his", order("O1", patient="BS1", accession="ACC1", control_id="M1"))
    await hub.send("baishi-his", order("O2", patient="BS2", accession="ACC1", control_id="M2"))
    async with hub.pool.acquire() as first, hub.pool.acquire() as second:
        mine, theirs = first.transaction(), second.transaction()
        await mine.start()
        await theirs.start()
        (known,) = await _steps_of_next(hub, first, community, mappings)
        other = started(_steps_of_next(hub, second, community, mappings))
        await blocked(hub.pool, other)
        await mine.commit()
        with pytest.raises((NumberTaken, VersionConflict)):
            await other
        await theirs.rollback()
    assert known.accession == "ACC1"


async def _steps_of_next(
    hub: Hub, connection: asyncpg.Connection, community: Community, mappings: MappingSet
) -> list[worklist.Step]:
    await recorded(hub, connection, community, mappings)
    orders = await connection.fetch("select service_request from worklist")
    return list((await worklist.by_order(connection, [row["service_request"] for row in orders])).values())
