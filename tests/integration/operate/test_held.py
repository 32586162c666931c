"""A person releases, skips or corrects what is held: in its place, with a reason, all of it or nothing."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from engine.clock import now
from engine.config import Community
from engine.envelope import Envelope
from engine.mapping import MappingSet
from engine.store import held
from engine.store.held import Choice
from engine.understanding import Understood, understand
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import register, result
from tests.integration.engine.workers import run_together
from tests.integration.operate.conftest import As, ask
from tests.integration.operate.messages import bad_result, of_no_type, without_code

WHY: dict[str, Any] = {"reason": "LIS 已改正"}
CHANNEL = "baishi-his"


async def the(hub: Hub, control_id: str) -> UUID:
    envelope: UUID = await hub.pool.fetchval(
        "select id from journal where control_id = $1 order by id limit 1", control_id
    )
    return envelope


async def state(hub: Hub, control_id: str) -> str:
    found: str = await hub.pool.fetchval(
        """
        select coalesce(o.state, i.state) from journal j
        left join inbox i on i.envelope = j.id left join outcome o on o.envelope = j.id
        where j.control_id = $1 order by j.id limit 1
        """,
        control_id,
    )
    return found


async def held_with_one_behind(hub: Hub) -> UUID:
    await hub.send(CHANNEL, bad_result())
    await hub.send(CHANNEL, register(control_id="BEHIND", name="石^后来", event="A08"))
    await hub.run()
    assert (await state(hub, "BAD"), await state(hub, "BEHIND")) == ("held", "accepted")
    return await the(hub, "BAD")


def correction(payload: bytes, **more: Any) -> dict[str, Any]:
    return {**WHY, "payload_base64": b64encode(payload).decode(), **more}


async def test_what_is_held_is_listed_with_its_reason_and_how_many_wait(hub: Hub, it: httpx.AsyncClient) -> None:
    envelope = await held_with_one_behind(hub)
    page = (await it.get("/api/held")).json()
    (line,) = page["held"]
    assert (line["id"], line["channel"], line["control_id"]) == (str(envelope), CHANNEL, "BAD")
    assert (line["waiting_behind"], line["keeps_lanes"]) == (1, True)
    assert [(r["code"], r["rule"], r["location"]) for r in line["reasons"]] == [
        ("not-identified", "result-id", "OBX-3")
    ]
    assert page["by_code"] == {"not-identified": 1}
    for filters, found in {
        "channel=baishi-his": 1,
        "channel=qingxi-his": 0,
        "code=not-identified": 1,
        "code=no-mapping": 0,
        "rule=result-id": 1,
        "rule=%25": 0,
        "rule=result_id": 0,
        "message_type=ORU^R01": 1,
        "message_type=ADT^A08": 0,
        "mapping=ORU_R01": 1,
        "mapping=ORU_R01&message_type=ADT^A04": 0,
    }.items():
        assert len((await it.get(f"/api/held?{filters}")).json()["held"]) == found, filters


async def test_a_released_message_that_fails_again_is_held_again_and_told_once(hub: Hub, it: httpx.AsyncClient) -> None:
    envelope = await held_with_one_behind(hub)
    assert (await ask(it, f"/api/envelopes/{envelope}/release", **WHY))["count"] == 1
    assert await state(hub, "BAD") == "accepted"
    await hub.run()
    assert (await state(hub, "BAD"), await state(hub, "BEHIND")) == ("held", "accepted")
    codes = await hub.pool.fetch("select code from finding where envelope = $1 and severity = 'error'", envelope)
    assert [row["code"] for row in codes] == ["not-identified"]


async def test_a_released_message_that_passes_settles_its_finding_and_runs_before_those_behind_it(
    hub: Hub, it: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What held it was a passing fault of ours: the second time it can be understood."""

    def broken(*_: object) -> Understood:
        raise ValueError("broken")

    with monkeypatch.context() as for_now:
        for_now.setattr("engine.pipeline.understand", broken)
        await hub.send(CHANNEL, register(name="石^先来", control_id="FIRST"))
        await hub.run()
    await hub.send(CHANNEL, register(name="石^后来", control_id="SECOND", event="A08"))
    await hub.run()
    assert (await state(hub, "FIRST"), await state(hub, "SECOND")) == ("held", "accepted")

    await ask(it, f"/api/envelopes/{await the(hub, 'FIRST')}/release", **WHY)
    await hub.run()
    assert (await state(hub, "FIRST"), await state(hub, "SECOND")) == ("processed", "processed")
    (source,) = [p for p in await hub.resources("Patient") if "link" not in p]
    assert source["name"][0]["given"] == ["后来"]
    assert "unexpected-error" not in await hub.open_findings()
    row = await hub.pool.fetchrow("select settled_by, settlement from finding where code = 'unexpected-error'")
    assert row["settled_by"] == "admin"
    assert "LIS 已改正" in row["settlement"]
    acts = await hub.pool.fetch("select actor, detail ->> 'reason' as reason from audit where action = 'release'")
    assert [tuple(act) for act in acts] == [("admin", "LIS 已改正")]
    ended = await hub.pool.fetchrow("select actor, reason from outcome where envelope = $1", await the(hub, "FIRST"))
    assert tuple(ended) == ("admin", "LIS 已改正")


async def test_a_skipped_message_is_recorded_nowhere_and_its_lane_goes_on(hub: Hub, it: httpx.AsyncClient) -> None:
    envelope = await held_with_one_behind(hub)
    await ask(it, f"/api/envelopes/{envelope}/skip", **WHY)
    await hub.run()
    assert (await state(hub, "BAD"), await state(hub, "BEHIND")) == ("skipped", "processed")
    assert await hub.resources("Observation") == []
    assert await hub.pool.fetchval("select count(*) from lane") == 0
    finding = await hub.pool.fetchrow("select settled_by, settlement from finding where envelope = $1", envelope)
    assert (finding["settled_by"], finding["settlement"]) == ("admin", "Skipped: LIS 已改正")
    assert await hub.pool.fetchval("select count(*) from journal where id = $1", envelope) == 1


async def test_a_correction_runs_before_the_later_ones_that_waited_and_the_original_stays(
    hub: Hub, it: httpx.AsyncClient, community: Community, mappings: MappingSet
) -> None:
    original = bad_result()
    envelope = await held_with_one_behind(hub)
    # The correction brings another name: the one of the later message must stand in the end.
    corrected = result("L9", control_id="BAD").replace("石^秀英".encode("gb18030"), "石^改正".encode("gb18030"))
    foretold = await ask(it, f"/api/envelopes/{envelope}/replace", **correction(corrected, dry_run=True))
    assert (foretold["envelope"], foretold["holds"]) == (None, False)
    assert foretold["resources"]["Observation"] == 1
    assert await state(hub, "BAD") == "held"

    told = await ask(it, f"/api/envelopes/{envelope}/replace", **correction(corrected))
    await run_together(hub, community, mappings, workers=2)
    assert (await state(hub, "BAD"), await state(hub, "BEHIND")) == ("replaced", "processed")
    (source,) = [p for p in await hub.resources("Patient") if "link" not in p]
    assert source["name"][0]["given"] == ["后来"]
    order = await hub.pool.fetch("select envelope from resource_history where type = 'Patient' order by version")
    assert UUID(told["envelope"]) in {row["envelope"] for row in order}

    assert await hub.pool.fetchval("select payload from journal where id = $1", envelope) == original
    link = await hub.pool.fetchrow("select replaces, place, actor, reason from replacement")
    assert tuple(link) == (envelope, envelope, "admin", "LIS 已改正")
    assert await hub.pool.fetchval("select count(*) from lane") == 0
    # Whoever sends the corrected message later repeats it.
    before = await hub.pool.fetchval("select count(*) from journal")
    assert b"|AA|" in await hub.send(CHANNEL, corrected)
    assert await hub.pool.fetchval("select count(*) from journal") == before


async def test_corrections_keep_the_order_of_every_patient_with_two_workers(
    hub: Hub, it: httpx.AsyncClient, community: Community, mappings: MappingSet
) -> None:
    patients = [f"BS{n}" for n in range(6)]
    for patient in patients:
        await hub.send(CHANNEL, bad_result(patient, control_id=f"BAD-{patient}", placer=f"L-{patient}"))
        for n in range(3):
            name = f"石^第{n}"
            await hub.send(CHANNEL, register(patient, name=name, control_id=f"R{patient}-{n}", event="A08"))
    await hub.run()
    assert await hub.held() == len(patients)

    async def correct_all() -> None:
        for patient in patients:
            envelope = await the(hub, f"BAD-{patient}")
            fixed = result(f"L-{patient}", patient=patient, control_id=f"BAD-{patient}")
            await ask(it, f"/api/envelopes/{envelope}/replace", **correction(fixed))

    await asyncio.gather(correct_all(), run_together(hub, community, mappings, workers=2))
    await run_together(hub, community, mappings, workers=2)
    assert await hub.pool.fetchval("select count(*) from inbox") == 0
    sources = [p for p in await hub.resources("Patient") if "link" not in p]
    assert [p["name"][0]["given"] for p in sources] == [["第2"]] * len(patients)
    # Each correction wrote its result before the first of those behind it wrote the patient.
    rows = await hub.pool.fetch(
        """
        select r.envelope as correction,
               (select min(finished_at) from outcome o join journal j on j.id = o.envelope
                where j.control_id like 'R' || replace(w.control_id, 'BAD-', '') || '-%') as first_behind,
               (select finished_at from outcome where envelope = r.envelope) as corrected
        from replacement r join journal w on w.id = r.envelope
        """
    )
    assert len(rows) == len(patients)
    assert all(row["corrected"] < row["first_behind"] for row in rows)


async def test_a_correction_that_is_no_message_is_refused_and_nothing_changes(hub: Hub, it: httpx.AsyncClient) -> None:
    envelope = await held_with_one_behind(hub)
    for garbage in (b"", b"garbage", b"\x00" * 100, b"MSH", "张三".encode("gb18030"), b"PID|1||X\r"):
        refused = await ask(it, f"/api/envelopes/{envelope}/replace", expected=400, **correction(garbage))
        assert refused["code"] == "not-a-message", garbage
    not_base64 = await ask(it, f"/api/envelopes/{envelope}/replace", expected=400, **WHY, payload_base64="%%%")
    assert not_base64["code"] == "bad-parameter"
    assert await state(hub, "BAD") == "held"
    assert await hub.pool.fetchval("select count(*) from journal") == 2


async def test_a_correction_that_cannot_be_understood_is_held_in_the_same_place_and_may_be_corrected_again(
    hub: Hub, it: httpx.AsyncClient
) -> None:
    envelope = await held_with_one_behind(hub)
    still_bad = bad_result(placer="L10")
    told = await ask(it, f"/api/envelopes/{envelope}/replace", **correction(still_bad))
    assert told["holds"] is True
    await hub.run()
    assert await state(hub, "BEHIND") == "accepted"
    (line,) = (await it.get("/api/held")).json()["held"]
    assert (line["id"], line["replaces"], line["waiting_behind"]) == (told["envelope"], str(envelope), 1)

    await ask(it, f"/api/envelopes/{told['envelope']}/replace", **correction(result("L10", control_id="BAD")))
    await hub.run()
    assert await state(hub, "BEHIND") == "processed"
    places = await hub.pool.fetch("select place from replacement order by replaced_at")
    assert [row["place"] for row in places] == [envelope, envelope]
    (source,) = [p for p in await hub.resources("Patient") if "link" not in p]
    assert source["name"][0]["given"] == ["后来"]


async def test_a_correction_that_names_another_patient_frees_the_lane_it_leaves(
    hub: Hub, it: httpx.AsyncClient
) -> None:
    envelope = await held_with_one_behind(hub)
    await hub.send(CHANNEL, register("BS0002", name="石^别人", control_id="OTHER"))
    await hub.run()
    fixed = result("L9", patient="BS0002", control_id="BAD")
    await ask(it, f"/api/envelopes/{envelope}/replace", **correction(fixed))
    await hub.run()
    assert await state(hub, "BEHIND") == "processed"
    names = {p["name"][0]["given"][0] for p in await hub.resources("Patient") if "link" not in p}
    # The correction stands before the registration of BS0002 in the order, so it does not undo its name.
    assert names == {"后来", "别人"}


async def test_what_says_the_same_is_no_correction(hub: Hub, it: httpx.AsyncClient) -> None:
    envelope = await held_with_one_behind(hub)
    same = await ask(it, f"/api/envelopes/{envelope}/replace", expected=409, **correction(bad_result()))
    assert same["code"] == "nothing-changed"
    await hub.send(CHANNEL, result("L9", control_id="BAD"))
    repeated = await ask(
        it, f"/api/envelopes/{envelope}/replace", expected=409, **correction(result("L9", control_id="BAD"))
    )
    assert repeated["code"] == "repeats-another"
    assert await state(hub, "BAD") == "held"


async def test_only_what_is_held_can_be_acted_on(hub: Hub, it: httpx.AsyncClient) -> None:
    await held_with_one_behind(hub)
    await hub.send(CHANNEL, register("BS0007", control_id="DONE"))
    await hub.run()
    for act in ("release", "skip", "replace"):
        body = correction(result()) if act == "replace" else WHY
        for control_id in ("DONE", "BEHIND"):
            path = f"/api/envelopes/{await the(hub, control_id)}/{act}"
            assert (await ask(it, path, expected=409, **body))["code"] == "not-held"
        assert (await ask(it, f"/api/envelopes/{uuid4()}/{act}", expected=404, **body))["code"] == "not-found"


async def test_a_reason_is_required_and_nothing_else_gets_in(hub: Hub, it: httpx.AsyncClient) -> None:
    envelope = await held_with_one_behind(hub)
    for body in ({}, {"reason": ""}, {"reason": "   "}, {"reason": "a\x00b"}, {"reason": "x" * 2001}, {"reason": 5}):
        for act in ("release", "skip"):
            await ask(it, f"/api/envelopes/{envelope}/{act}", expected=422, **body)
    await ask(it, f"/api/envelopes/{envelope}/skip", expected=422, **WHY, force=True)
    assert await state(hub, "BAD") == "held"


async def test_whoever_is_no_integrator_may_not_act(hub: Hub, as_user: As) -> None:
    envelope = await held_with_one_behind(hub)
    for name in ("wang", "liu"):
        client = await as_user(name)
        assert (await client.get("/api/held")).status_code == 403
        for path in ("release", "skip", "replace"):
            await ask(client, f"/api/envelopes/{envelope}/{path}", expected=403, **correction(result()))
        for path in ("release", "skip"):
            await ask(client, f"/api/held/{path}", expected=403, **WHY, everything=True)
    assert await state(hub, "BAD") == "held"


async def test_many_are_released_by_what_holds_them(hub: Hub, it: httpx.AsyncClient) -> None:
    for n in range(5):
        await hub.send(CHANNEL, of_no_type(register(f"BS{n}", control_id=f"Z{n}")))
        await hub.send(CHANNEL, bad_result(f"BS{n}", control_id=f"BAD{n}"))
    await hub.run()
    assert await hub.held() == 10
    assert (await ask(it, "/api/held/release", expected=400, **WHY))["code"] == "no-filter"
    for hostile in ("%", "no_mapping", "'; drop table inbox; --", "\\"):
        await ask(it, "/api/held/release", expected=422, **WHY, code=hostile)
    assert (await ask(it, "/api/held/release", **WHY, rule="%"))["count"] == 0
    assert (await ask(it, "/api/held/release", **WHY, rule="result_id"))["count"] == 0
    assert (await ask(it, "/api/held/release", expected=400, **WHY, mapping="ORU_R0_"))["code"] == "bad-parameter"

    counted = await ask(it, "/api/held/release", **WHY, code="not-identified", dry_run=True)
    assert counted == {"count": 5, "dry_run": True}
    assert await hub.held() == 10
    assert (await ask(it, "/api/held/release", **WHY, mapping="ORU_R01"))["count"] == 5
    assert await hub.held() == 5
    assert (await ask(it, "/api/held/skip", **WHY, code="no-mapping", channel=CHANNEL))["count"] == 5
    assert await hub.held() == 0
    assert await hub.pool.fetchval("select count(*) from audit where action = 'skip'") == 5


async def test_what_gave_its_lanes_back_takes_them_again_and_undoes_nothing_newer(
    hub: Hub, it: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A type that nothing mapped is mapped at last: it is a month older than what is recorded."""
    await hub.send(CHANNEL, of_no_type(register(name="石^从前", control_id="OLD")))
    await hub.send(CHANNEL, register(name="石^如今", control_id="NEW"))
    await hub.run()
    assert (await state(hub, "OLD"), await state(hub, "NEW")) == ("held", "processed")

    def mapped_now(envelope: Envelope, community: Community, mappings: MappingSet) -> Understood:
        payload = envelope.payload.replace(b"ZZZ^Z01", b"ADT^A04")
        return understand(replace(envelope, payload=payload), community, mappings)

    monkeypatch.setattr("engine.pipeline.understand", mapped_now)
    assert (await ask(it, "/api/held/release", **WHY, code="no-mapping"))["count"] == 1
    assert await hub.pool.fetchval("select count(*) from lane") == 1
    await hub.run()
    assert await state(hub, "OLD") == "processed"
    (source,) = [p for p in await hub.resources("Patient") if "link" not in p]
    assert source["name"][0]["given"] == ["如今"]
    assert await hub.open_findings() == []


async def test_a_bulk_release_that_dies_midway_has_released_none(hub: Hub, database_url: str) -> None:
    for n in range(30):
        await hub.send(CHANNEL, bad_result(f"BS{n}", control_id=f"BAD{n}"))
    await hub.run()
    assert await hub.held() == 30
    dying = await asyncpg.connect(database_url)
    gone = asyncio.Event()
    dying.add_termination_listener(lambda _: gone.set())
    await dying.execute("begin")
    assert await held.release(dying, Choice(channel=CHANNEL), "admin", "x", now()) == 30
    await hub.pool.execute("select pg_terminate_backend($1)", dying.get_server_pid())
    await gone.wait()
    assert await hub.held() == 30
    assert await hub.pool.fetchval("select count(*) from audit where action = 'release'") == 0
    assert await hub.run() == 0


async def test_two_people_who_act_on_one_envelope_do_it_once(hub: Hub, it: httpx.AsyncClient) -> None:
    envelope = await held_with_one_behind(hub)
    answers = await asyncio.gather(
        *(it.post(f"/api/envelopes/{envelope}/skip", json=WHY) for _ in range(3)),
        it.post(f"/api/envelopes/{envelope}/replace", json=correction(result("L9", control_id="BAD"))),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert await hub.pool.fetchval("select count(*) from outcome where envelope = $1", envelope) == 1


def test_the_messages_of_these_tests_differ() -> None:
    assert without_code(result()) != result()
