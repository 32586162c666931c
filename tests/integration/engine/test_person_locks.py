"""Two processes that meet in one person: nobody waits in a circle, and whoever comes first makes no difference."""

from __future__ import annotations

import asyncpg
import pytest

from engine.clock import now
from engine.config import Community
from engine.identifiers import ID_CARD
from engine.mapping import MappingSet
from engine.recording import joins_by_hand
from engine.store import people
from engine.store.people import own_standing
from engine.store.records import VersionConflict
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import card, in_utf8, register
from tests.integration.engine.test_joins import merge, persons, sent, source
from tests.integration.engine.workers import blocked, recorded, started

CARD = (ID_CARD, card(1))


def at_qingxi(patient: str, control_id: str) -> bytes:
    return in_utf8(register(patient, card=card(1), control_id=control_id, sender="QXZWSY"))


async def test_a_merge_waits_for_a_whole_person_before_it_takes_an_identifier_of_it(
    hub: Hub, community: Community, mappings: MappingSet
) -> None:
    await sent(hub, register("BS1", card=card(1), control_id="R1"), register("BS2", control_id="R2"))
    await hub.send("qingxi-his", at_qingxi("QX1", "Q1"))
    await hub.run()
    changed = merge("BS2", "BS1", name="石^改名").replace(b"BS1^^^BSHIS^MR", f"BS1^^^BSHIS^MR~{card(1)}^^^^NI".encode())
    await hub.send("baishi-his", changed)
    async with hub.pool.acquire() as first, hub.pool.acquire() as second:
        mine, theirs = first.transaction(), second.transaction()
        await mine.start()
        await theirs.start()
        await people.hold_links(first, [source("QX1", "qingxi")])  # a message of QX1 begins to be identified
        other = started(recorded(hub, second, community, mappings))
        await blocked(hub.pool, other)
        await people.hold_keys(first, {CARD: own_standing(source("QX1", "qingxi"))})  # and goes on: nobody has it
        await mine.commit()
        await other
        await theirs.commit()
    assert await hub.pool.fetchval("select deadlocks from pg_stat_database where datname = current_database()") == 0
    assert [len(person) for person in await persons(hub)] == [3]


async def test_an_identifier_that_is_given_up_while_it_is_waited_for_is_asked_for_again(hub: Hub) -> None:
    await sent(hub, register("BS1", card=card(1), control_id="R1"))
    async with hub.pool.acquire() as first, hub.pool.acquire() as second:
        mine, theirs = first.transaction(), second.transaction()
        await mine.start()
        await theirs.start()
        await people.hold_keys(first, {CARD: own_standing(source("BS1"))})
        waiting = started(people.hold_keys(second, {CARD: own_standing("new")}))
        await blocked(hub.pool, waiting)
        await people.release_keys(first, [CARD])
        await mine.commit()
        with pytest.raises(VersionConflict):
            await waiting
        await theirs.rollback()
    async with hub.pool.acquire() as connection, connection.transaction():
        assert await people.hold_keys(connection, {CARD: own_standing("new")}) == {CARD: own_standing("new")}


@pytest.mark.parametrize("card_first", [True, False])
async def test_a_card_that_becomes_known_leads_to_one_person_before_and_after_a_merge(
    hub: Hub, pool: asyncpg.Pool, card_first: bool
) -> None:
    await sent(hub, register("BS1", control_id="R1"))
    await hub.send("qingxi-his", at_qingxi("QX1", "Q1"))
    await hub.run()
    known = register("BS1", card=card(1), control_id="R2", event="A08")
    steps = [known, merge("BS2", "BS1")] if card_first else [merge("BS2", "BS1"), known]
    await sent(hub, *steps)
    assert await persons(hub) == [{source("BS1"), source("BS2"), source("QX1", "qingxi")}]
    assert await hub.open_findings() == []
    number = await pool.fetchval("select id from patient_join")
    async with pool.acquire() as connection, connection.transaction():
        await joins_by_hand.undo(connection, number, "it", "another person", now())
    assert sorted(await persons(hub), key=len) == [{source("BS2")}, {source("BS1"), source("QX1", "qingxi")}]
