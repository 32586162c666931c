"""Somebody else comes under a known number: nothing of it is recorded before a person has said who it is."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from engine.clock import now
from engine.codecs import hl7v2
from engine.config import Acknowledge, Community
from engine.mapping import MappingSet
from engine.store import finding_list
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import card, order, register
from tests.integration.operate.conftest import ask

CHANNEL = "baishi-his"
CHANGED = "person-changed"
SAME: dict[str, Any] = {"reason": "是同一人，登记有误，已核对"}
SHI = register(control_id="R1")
WANG = register(name="王^五妹", born="19900301", control_id="R2", event="A08")


async def sent(hub: Hub, *payloads: bytes) -> None:
    for payload in payloads:
        await hub.send(CHANNEL, payload)
        await hub.run()


async def family_names(hub: Hub) -> list[str]:
    return [p["name"][0]["family"] for p in await hub.resources("Patient") if "meta" not in p]


async def held(hub: Hub) -> list[UUID]:
    rows = await hub.pool.fetch("select envelope from inbox where state = 'held' order by envelope")
    return [row["envelope"] for row in rows]


async def release(hub: Hub, it: httpx.AsyncClient) -> None:
    (envelope,) = await held(hub)
    await ask(it, "/api/held/release", envelopes=[str(envelope)], **SAME)
    await hub.run()


@pytest.mark.parametrize(
    "stranger",
    [
        WANG,
        order(name="王^五妹", control_id="M1").replace(b"19630512", b"19900301"),
        register(name="王^五妹", born="", control_id="R2").replace(b"|F|", b"|M|"),
    ],
    ids=["update", "order", "name and sex"],
)
async def test_another_person_under_a_known_number_is_held(hub: Hub, stranger: bytes) -> None:
    await sent(hub, SHI, stranger)
    assert len(await held(hub)) == 1
    assert await hub.open_findings() == [CHANGED]
    assert await family_names(hub) == ["石"]
    assert await hub.resources("ServiceRequest") == []


async def test_another_card_with_another_name_is_held(hub: Hub) -> None:
    await sent(hub, register(card=card(1)), register(card=card(2), name="王^五妹", control_id="R2", event="A08"))
    assert await hub.open_findings() == [CHANGED]
    assert await hub.pool.fetchval("select value from person_key") == card(1)


async def test_the_finding_says_what_contradicts_and_what_to_do_without_quoting_the_patient(hub: Hub) -> None:
    await sent(hub, SHI, WANG)
    text = await hub.pool.fetchval("select text from finding where code = $1", CHANGED)
    assert "name (PID-5) and date of birth (PID-7)" in text
    assert "release" in text
    assert "A47" in text
    assert not any(value in text for value in ("王", "五妹", "石", "1990", "1963", "BS0001"))


async def test_what_comes_behind_waits_and_other_patients_do_not(hub: Hub) -> None:
    await sent(hub, SHI, WANG, order(control_id="M1"), register("BS0002", name="钱^一", control_id="R3"))
    assert await hub.resources("ServiceRequest") == []
    assert sorted(await family_names(hub)) == ["石", "钱"]


async def test_a_person_releases_it_and_both_statements_are_of_one_person_from_then_on(
    hub: Hub, it: httpx.AsyncClient
) -> None:
    await sent(hub, SHI, WANG)
    await release(hub, it)
    assert (await held(hub), await hub.open_findings()) == ([], [])
    assert await family_names(hub) == ["王"]
    # The laboratory knows the old name for a while, the HIS the new one.
    await sent(hub, order(control_id="M1"), register(name="王^五妹", born="19900301", control_id="R4", event="A08"))
    assert (await held(hub), await family_names(hub)) == ([], ["王"])
    # Somebody nobody has spoken for is still held.
    await sent(hub, register(name="赵^六", born="19550101", control_id="R5", event="A08"))
    assert await hub.open_findings() == [CHANGED]


async def test_who_released_it_and_why_is_kept(hub: Hub, it: httpx.AsyncClient) -> None:
    await sent(hub, SHI, WANG)
    await release(hub, it)
    rows = await hub.pool.fetch("select settled_by, settlement from finding where code = $1", CHANGED)
    assert {row["settled_by"] for row in rows} == {"admin"}
    assert all(SAME["reason"] in row["settlement"] for row in rows)


async def test_what_was_released_is_replayed_without_being_held_again(hub: Hub, it: httpx.AsyncClient) -> None:
    await sent(hub, SHI, WANG)
    await release(hub, it)
    before = await hub.resources("Patient")
    await ask(it, "/api/replay", reason="表已修改", channel=CHANNEL)
    await hub.run()
    assert (await held(hub), await hub.open_findings()) == ([], [])
    assert await hub.resources("Patient") == before


async def test_what_was_skipped_is_no_word_that_it_is_the_same_person(hub: Hub, it: httpx.AsyncClient) -> None:
    await sent(hub, SHI, WANG)
    (envelope,) = await held(hub)
    await ask(it, "/api/held/skip", envelopes=[str(envelope)], reason="挂错号")
    await sent(hub, register(name="王^五妹", born="19900301", control_id="R9", event="A08"))
    assert await hub.open_findings() == [CHANGED]
    assert await family_names(hub) == ["石"]


async def test_what_was_released_for_another_reason_is_held_as_another_person(hub: Hub) -> None:
    await sent(hub, SHI)
    await hub.send(CHANNEL, WANG)
    await hub.pool.execute("update inbox set asked_by = 'admin', asked_why = '表已修改'")
    await hub.run()
    assert await hub.open_findings() == [CHANGED]
    assert await family_names(hub) == ["石"]


async def test_a_merge_states_the_change_and_is_not_held(hub: Hub) -> None:
    merged = WANG.replace(b"ADT^A08", b"ADT^A40").replace(b"PV1|", b"MRG|BS0002^^^BSHIS^MR\rPV1|")
    await sent(hub, SHI, register("BS0002", name="王^五妹", born="19900301", control_id="R3"), merged)
    assert CHANGED not in await hub.open_findings()
    assert await held(hub) == []


async def test_the_same_patients_twice_and_one_correction_after_the_other_are_never_held(hub: Hub) -> None:
    await sent(
        hub,
        register(name="无名氏", born="19000101", control_id="C1"),
        register(name="石^秀瑛", born="1963", control_id="C2", event="A08"),
        register(name="石^秀英", born="19630521", control_id="C3", event="A08"),
        register(name="石^秀英", born="19630512", control_id="C4", event="A08"),
        register(name="石^秀英", born="19630512", control_id="C5", event="A08").replace(b"|F|", b"|M|"),
        register(name="SHI^XIUYING", born="19630512", control_id="C6", event="A08"),
    )
    assert await held(hub) == []
    assert CHANGED not in await hub.open_findings()


async def test_a_sender_that_waits_is_refused_until_a_person_has_settled_it(
    database_url: str, pool: asyncpg.Pool, community: Community, mappings: MappingSet
) -> None:
    asked = community.channels[CHANNEL].model_copy(update={"acknowledge": Acknowledge.WHEN_PROCESSED})
    waiting = community.model_copy(update={"channels": {**community.channels, CHANNEL: asked}})
    hub = Hub(database_url, pool, waiting, mappings)
    await hub.intake.start()
    try:
        codes = [await _answer(hub, SHI), await _answer(hub, WANG), await _answer(hub, WANG)]
        assert codes == ["AA", "AE", "AE"]
        assert await hub.open_findings() == [CHANGED]
        finding = await pool.fetchval("select id from finding where code = $1", CHANGED)
        async with pool.acquire() as connection:
            await finding_list.settle(connection, finding, "admin", SAME["reason"], now())
        assert await _answer(hub, WANG) == "AA"
        assert await family_names(hub) == ["王"]
    finally:
        await hub.intake.close()


async def _answer(hub: Hub, payload: bytes) -> str:
    waiting = asyncio.ensure_future(hub.send(CHANNEL, payload))
    while not waiting.done():
        await hub.run()
        await asyncio.sleep(0)
    return hl7v2.parse(waiting.result()).named("MSA")[0].value(1)
