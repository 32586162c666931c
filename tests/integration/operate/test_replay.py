"""Journaled messages are processed again: what a mended mapping adds is recorded, and nothing newer is undone."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from engine.clock import now
from engine.config import Community, Route
from engine.envelope import Envelope
from engine.errors import MappingError
from engine.mapping import MappingSet
from engine.pipeline import Pipeline
from engine.store import records
from engine.understanding import Understood, held_by, understand
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import card, in_utf8, order, register, result
from tests.integration.engine.workers import run_together
from tests.integration.operate.conftest import As, ask
from tests.integration.operate.messages import bad_result

WHY: dict[str, Any] = {"reason": "映射已修改"}
CHANNEL = "baishi-his"
TABLES = ("resource", "resource_history", "finding", "delivery", "worklist", "patient_link", "person_key", "journal")


async def replayed(hub: Hub, client: httpx.AsyncClient, **filters: Any) -> int:
    """Every portion of a replay, run to its end."""
    total: int = 0
    after: str | None = None
    while True:
        told = await ask(client, "/api/replay", **WHY, **filters, after=after)
        total += told["count"]
        await hub.run()
        if told["next"] is None:
            return total
        after = told["next"]


async def everything(hub: Hub) -> dict[str, list[str]]:
    """All that is recorded, row by row."""
    return {
        table: [str(row["t"]) for row in await hub.pool.fetch(f"select t::text from {table} t order by 1")]
        for table in TABLES
    }


async def a_day(hub: Hub) -> None:
    """Registrations with later changes, an order that is changed and cancelled, results, and a merge."""
    await hub.send(CHANNEL, register(name="石^先", card=card(1), control_id="R1"))
    await hub.send(CHANNEL, register(name="石^后", card=card(1), control_id="R2", event="A08"))
    await hub.send(CHANNEL, order("O1", control_id="M1"))
    await hub.send(CHANNEL, order("O1", control_id="M2", control="XO", text="胸部正侧位DR"))
    await hub.send(CHANNEL, order("O2", control_id="M3"))
    await hub.send(CHANNEL, order("O2", control_id="M4", control="CA"))
    await hub.send(CHANNEL, result("L1", value="5.1", status="P", control_id="U1"))
    await hub.send(CHANNEL, result("L1", value="5.10", status="F", control_id="U2"))
    await hub.send("qingxi-his", in_utf8(register("QX1", card=card(1), control_id="Q1", sender="QXZWSY")))
    await hub.send(CHANNEL, register("BS0002", name="石^旧号", control_id="R3"))
    await hub.send(CHANNEL, merged("BS0001", "BS0002", control_id="A1"))
    await hub.run()
    assert await hub.held() == 0


def merged(patient: str, gone: str, *, control_id: str) -> bytes:
    return register(patient, name="石^后", control_id=control_id, event="A40") + f"MRG|{gone}^^^BSHIS^MR\r".encode()


def mapped_with(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Another mapping of today: what is understood is changed before it is recorded."""

    def understood(envelope: Envelope, community: Community, mappings: MappingSet) -> Understood:
        walk = understand(envelope, community, mappings)
        return replace(walk, resources=[change(resource, envelope) for resource in walk.resources])

    monkeypatch.setattr("engine.pipeline.understand", understood)


async def test_what_is_processed_again_by_the_same_mappings_changes_nothing_however_often(
    hub: Hub, it: httpx.AsyncClient
) -> None:
    await a_day(hub)
    before = await everything(hub)
    for _ in range(2):
        assert await replayed(hub, it, everything=True) == 11
        after = await everything(hub)
        for table in TABLES:
            assert after[table] == before[table], table
    assert await hub.pool.fetchval("select count(*) from inbox") == 0
    assert await hub.pool.fetchval("select count(*) from lane") == 0
    row = await hub.pool.fetchrow(
        "select count(*) as n, min(replayed_by) as who from outcome where replayed_at > $1", now() - timedelta(hours=1)
    )
    assert (row["n"], row["who"]) == (11, "admin")
    assert await hub.pool.fetchval("select count(*) from audit where action = 'replay'") == 22


async def test_what_a_mended_mapping_adds_is_recorded_once_and_nothing_newer_is_undone(
    hub: Hub, it: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_day(hub)
    before = {p["id"]: p for p in await hub.resources("Patient")}

    def with_language(resource: dict[str, Any], envelope: Envelope) -> dict[str, Any]:
        return {**resource, "language": "zh-CN"} if resource["resourceType"] == "Patient" else resource

    mapped_with(monkeypatch, with_language)
    # Only the first message of the patient: its name is older than what is recorded.
    assert await replayed(hub, it, control_id="R1") == 1
    after = {p["id"]: p for p in await hub.resources("Patient")}
    (mended,) = [p for p in after.values() if p.get("language") == "zh-CN"]
    assert mended == {**before[mended["id"]], "language": "zh-CN"}
    assert mended["name"][0]["given"] == ["后"]
    written = await hub.pool.fetchval("select count(*) from resource_history")
    assert await replayed(hub, it, control_id="R1") == 1
    assert await hub.pool.fetchval("select count(*) from resource_history") == written


async def test_an_element_that_only_an_old_message_said_is_mended_by_its_replay(
    hub: Hub, it: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second message repeats the name and says no address; today's mapping reads both otherwise."""
    await hub.send(CHANNEL, register(control_id="R1"))
    await hub.send(CHANNEL, order(control_id="M1"))
    await hub.run()

    def otherwise(resource: dict[str, Any], envelope: Envelope) -> dict[str, Any]:
        if resource["resourceType"] == "Patient" and envelope.control_id == "R1":
            return {**resource, "address": [{"text": "mended"}], "gender": "unknown"}
        return resource

    mapped_with(monkeypatch, otherwise)
    await replayed(hub, it, control_id="R1")
    (patient,) = [p for p in await hub.resources("Patient") if "link" not in p]
    # Nothing newer changed either of the two: the order said the same sex, and that is no change.
    assert (patient["address"], patient["gender"]) == ([{"text": "mended"}], "unknown")
    await replayed(hub, it, everything=True)
    (patient,) = [p for p in await hub.resources("Patient") if "link" not in p]
    assert (patient["address"], patient["gender"]) == ([{"text": "mended"}], "female")
    settled = await everything(hub)
    await replayed(hub, it, everything=True)
    assert await everything(hub) == settled


async def test_what_a_newer_message_deleted_does_not_come_back(hub: Hub, it: httpx.AsyncClient) -> None:
    await hub.send(CHANNEL, register(control_id="R1"))
    await hub.send(CHANNEL, register(control_id="R2", event="A08").replace(b"||13900000001", b'||""'))
    await hub.run()
    (before,) = [p for p in await hub.resources("Patient") if "link" not in p]
    assert "telecom" not in before
    assert await replayed(hub, it, control_id="R1") == 1
    (after,) = [p for p in await hub.resources("Patient") if "link" not in p]
    assert after == before


async def test_an_older_identity_card_does_not_come_back_and_other_numbers_are_added(
    hub: Hub, it: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hub.send(CHANNEL, register(card=card(1), control_id="R1"))
    await hub.send(CHANNEL, register(card=card(2), control_id="R2", event="A08"))
    await hub.run()
    (before,) = [p for p in await hub.resources("Patient") if "link" not in p]

    def with_insurance(resource: dict[str, Any], envelope: Envelope) -> dict[str, Any]:
        if resource["resourceType"] != "Patient" or envelope.control_id != "R1":
            return resource
        return {**resource, "identifier": [*resource["identifier"], {"system": "urn:x", "value": "1"}]}

    mapped_with(monkeypatch, with_insurance)
    await replayed(hub, it, control_id="R1")
    (after,) = [p for p in await hub.resources("Patient") if "link" not in p]
    assert after["identifier"] == [*before["identifier"], {"system": "urn:x", "value": "1"}]


async def test_what_a_person_wrote_since_stays(
    hub: Hub, it: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hub.send(CHANNEL, register(control_id="R1"))
    await hub.run()
    (patient,) = [p for p in await hub.resources("Patient") if "link" not in p]
    async with hub.pool.acquire() as connection:
        await records.put_many(connection, [records.Change({**patient, "gender": "male"}, actor="wang")], now())
    await replayed(hub, it, everything=True)
    (after,) = [p for p in await hub.resources("Patient") if "link" not in p]
    assert after["gender"] == "male"


async def test_a_replay_that_today_cannot_be_understood_holds_nobody_and_leaves_what_was_recorded(
    hub: Hub, it: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hub.send(CHANNEL, register(control_id="R1"))
    await hub.run()
    before = await hub.resources("Patient")
    broken = True

    def understood(envelope: Envelope, community: Community, mappings: MappingSet) -> Understood:
        if broken and envelope.control_id == "R1":
            return Understood(envelope, findings=[held_by(MappingError("no", location="PID-7", rule="birth"))])
        return understand(envelope, community, mappings)

    monkeypatch.setattr("engine.pipeline.understand", understood)
    for _ in range(2):
        assert await replayed(hub, it, control_id="R1") == 1
    assert await hub.held() == 0
    assert await hub.resources("Patient") == before
    rows = await hub.pool.fetch("select severity, location, rule from finding where code = 'replay-refused'")
    assert [tuple(row) for row in rows] == [("warning", "PID-7", "birth")]
    assert await hub.pool.fetchval("select state from outcome") == "processed"
    await hub.send(CHANNEL, register(control_id="R2", name="石^后", event="A08"))
    await hub.run()
    assert await hub.pool.fetchval("select count(*) from outcome where state = 'processed'") == 2

    broken = False
    assert await replayed(hub, it, code="replay-refused") == 1
    assert await hub.open_findings() == []


async def test_deliveries_are_owed_again_only_when_asked(
    hub: Hub, it: httpx.AsyncClient, community: Community, mappings: MappingSet
) -> None:
    copies = Route.model_validate({"id": "copies", "when": {"event": "message"}, "to": {"endpoints": ["county-his"]}})
    hub.pipeline = Pipeline(hub.url, community.model_copy(update={"routes": (copies,)}), mappings, now, hub.ids)
    await hub.send(CHANNEL, register(control_id="R1"))
    await hub.run()
    assert await hub.pool.fetchval("select count(*) from delivery") == 1
    await replayed(hub, it, control_id="R1")
    assert await hub.pool.fetchval("select count(*) from delivery") == 1
    await replayed(hub, it, control_id="R1", redeliver=True)
    rows = await hub.pool.fetch("select endpoint, control_id, payload from delivery")
    assert [tuple(row) for row in rows] == [("county-his", "R1", register(control_id="R1"))] * 2


async def test_every_filter_chooses(hub: Hub, it: httpx.AsyncClient) -> None:
    await a_day(hub)
    first: UUID = await hub.pool.fetchval("select id from journal order by id limit 1")
    await hub.pool.execute(
        "insert into finding (id, code, severity, text, envelope, found_at) "
        "values (gen_random_uuid(), 'odd', 'warning', 'x', $1, now())",
        first,
    )
    hour = timedelta(hours=1)
    choices: list[tuple[dict[str, Any], int]] = [
        ({"channel": CHANNEL}, 10),
        ({"channel": "qingxi-his"}, 1),
        ({"message_type": "ORM^O01"}, 4),
        ({"message_type": "ORM"}, 4),
        ({"message_type": "ADT"}, 5),
        ({"mapping": "ORU_R01"}, 2),
        ({"mapping": "ORU_R01", "message_type": "ADT"}, 0),
        ({"control_id": "R1"}, 1),
        ({"control_id": "R_"}, 0),
        ({"control_id": "%"}, 0),
        ({"patient": "BS0002"}, 2),
        ({"patient": "BS0001"}, 9),
        ({"patient": "BS%"}, 0),
        ({"patient": "BS0001", "message_type": "ORU"}, 2),
        ({"envelopes": [str(first)]}, 1),
        ({"envelopes": []}, 0),
        ({"code": "odd"}, 1),
        ({"since": (now() - hour).isoformat()}, 11),
        ({"until": (now() - hour).isoformat()}, 0),
        ({"since": (now() + hour).isoformat()}, 0),
    ]
    for filters, count in choices:
        told = await ask(it, "/api/replay", **WHY, **filters, dry_run=True)
        assert told["count"] == count, filters
    assert await hub.pool.fetchval("select count(*) from inbox") == 0
    assert (await ask(it, "/api/replay", expected=400, **WHY))["code"] == "no-filter"
    hostile: dict[str, Any] = {"channel": "%", "message_type": "%", "patient": "a\x00", "code": "a_b", "since": "x"}
    for key, value in hostile.items():
        await ask(it, "/api/replay", expected=422, **WHY, **{key: value})


async def test_what_has_not_ended_what_was_replaced_and_what_was_refused_are_not_processed_again(
    hub: Hub, it: httpx.AsyncClient
) -> None:
    await hub.send(CHANNEL, bad_result(control_id="BAD"))
    await hub.send(CHANNEL, bad_result("BS0008", control_id="SKIPPED"))
    await hub.run()
    skipped = await hub.pool.fetchval("select id from journal where control_id = 'SKIPPED'")
    await ask(it, f"/api/envelopes/{skipped}/skip", **WHY)
    await hub.send(CHANNEL, register("BS0009", control_id="WAITS"))
    assert (await ask(it, "/api/replay", **WHY, everything=True, dry_run=True))["count"] == 0
    assert (await ask(it, "/api/replay", **WHY, everything=True, skipped=True, dry_run=True))["count"] == 1
    await hub.pool.execute("update outcome set state = 'replaced'")
    assert (await ask(it, "/api/replay", **WHY, everything=True, skipped=True, dry_run=True))["count"] == 0


async def test_a_replay_during_live_traffic_keeps_the_last_word_of_every_patient(
    hub: Hub, it: httpx.AsyncClient, community: Community, mappings: MappingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.pipeline.BATCH", 3)
    patients = [f"BS{n}" for n in range(5)]
    for n in range(4):
        for patient in patients:
            await hub.send(CHANNEL, register(patient, name=f"石^第{n}", control_id=f"{patient}-{n}", event="A08"))
    await run_together(hub, community, mappings, workers=2)
    assert (await ask(it, "/api/replay", **WHY, channel=CHANNEL))["count"] == 20

    async def live() -> None:
        for n in range(4, 8):
            for patient in patients:
                await hub.send(CHANNEL, register(patient, name=f"石^第{n}", control_id=f"{patient}-{n}", event="A08"))

    await asyncio.gather(live(), run_together(hub, community, mappings, workers=2))
    await run_together(hub, community, mappings, workers=2)
    assert await hub.pool.fetchval("select count(*) from inbox") == 0
    sources = [p for p in await hub.resources("Patient") if "link" not in p]
    assert [p["name"][0]["given"] for p in sources] == [["第7"]] * len(patients)
    # The replay wrote nothing: each patient has one version for each message.
    assert await hub.pool.fetchval("select count(*) from outcome where state = 'processed'") == 40
    versions = await hub.pool.fetch("select version from resource where type = 'Patient' and body -> 'link' is null")
    assert {row["version"] for row in versions} == {8}


async def test_a_replayed_message_waits_for_nobody_who_came_later(hub: Hub, it: httpx.AsyncClient) -> None:
    """Its place is its own: what is held behind it does not stop it, and it is in nobody's way once it has run."""
    await hub.send(CHANNEL, register(control_id="R1"))
    await hub.run()
    await hub.send(CHANNEL, bad_result(control_id="BAD"))
    await hub.run()
    assert await replayed(hub, it, control_id="R1") == 1
    assert await hub.pool.fetchval("select replayed_at > finished_at from outcome")
    assert await hub.held() == 1


async def test_only_integrators_replay(hub: Hub, as_user: As) -> None:
    reader = await as_user("wang")
    await ask(reader, "/api/replay", expected=403, **WHY, everything=True)
    assert (await reader.get("/api/replay")).status_code == 403


async def test_a_correction_is_processed_again_in_the_place_that_it_took(hub: Hub, it: httpx.AsyncClient) -> None:
    await hub.send(CHANNEL, bad_result(control_id="BAD"))
    await hub.send(CHANNEL, register(name="石^后来", control_id="LATER", event="A08"))
    await hub.run()
    envelope = await hub.pool.fetchval("select id from journal where control_id = 'BAD'")
    fixed = b64encode(result("L9", control_id="BAD")).decode()
    await ask(it, f"/api/envelopes/{envelope}/replace", **WHY, payload_base64=fixed)
    await hub.run()
    before = await everything(hub)
    assert await replayed(hub, it, everything=True) == 2
    assert await everything(hub) == before
