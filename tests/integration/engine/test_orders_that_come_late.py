"""An order that comes after its step or its studies is linked to them, exactly, and what waited comes right."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.procedure import Procedure

from engine.steps import COMPLETED, IN_PROGRESS, PerformedStep, Scheduled, Series, linked, numbers_of, read, written
from engine.store import performed_steps
from engine.store.performed_steps import Message
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import manifest, order

AT = datetime(2026, 11, 21, 4, tzinfo=UTC)
STEP = PerformedStep(
    uid="2.25.501",
    facility="baishi",
    state=IN_PROGRESS,
    scheduled=[Scheduled("2.25.1001", "ACC1", "ACC1", "ACC1")],
    patient_id="BS0001",
    modality="DX",
    description="胸部正位DR",
    started="2026-11-21T08:45:00+08:00",
)
MESSAGE = Message("imaging", "DR_BAISHI", "1.2.840.10008.1.2", b"")


async def begin(hub: Hub, **changes: Any) -> PerformedStep:
    """What the gateway does with an N-CREATE."""
    told = msgspec.structs.replace(STEP, **changes)
    async with hub.pool.acquire() as connection, connection.transaction():
        accessions, studies = numbers_of(told)
        await performed_steps.lock_numbers(connection, told.facility, [*accessions, *studies])
        step = linked(told, await performed_steps.candidates(connection, told.facility, accessions, studies))
        assert await performed_steps.create(connection, step, MESSAGE, AT)
    await tell(hub)
    return step


async def complete(hub: Hub, uid: str = STEP.uid) -> None:
    """What the gateway does with an N-SET."""
    async with hub.pool.acquire() as connection, connection.transaction():
        step = await performed_steps.locked(connection, uid, STEP.facility)
        assert step is not None
        ended = msgspec.structs.replace(step, state=COMPLETED, series=[Series("2.25.9", instances=1)])
        await performed_steps.change(connection, ended, MESSAGE, AT)
    await tell(hub)


async def tell(hub: Hub) -> int:
    """What the gateway does now and then: every step that the engine does not know as it is; how many."""
    async with hub.pool.acquire() as connection:
        unnoticed = await performed_steps.unnoticed(connection, "imaging", 100)
        for one in unnoticed:
            await hub.intake.accept_step(channel="imaging", facility=one.step.facility, peer="DR_BAISHI",
                                         step_uid=one.step.uid, patient_ids=[one.step.patient_id],
                                         payload=written(one.step))  # fmt: skip
            await performed_steps.mark_noticed(connection, one)
    await hub.run()
    return len(unnoticed)


async def known(hub: Hub, uid: str = STEP.uid) -> PerformedStep:
    return read(await hub.pool.fetchval("select told from performed_step where uid = $1", uid))


async def send(hub: Hub, **changes: Any) -> None:
    await hub.send("baishi-his", order(**{"accession": "ACC1", **changes}))
    await hub.run()


async def cases(hub: Hub) -> list[str]:
    rows = await hub.pool.fetch("select kind from reconcile_case order by kind")
    return [row["kind"] for row in rows]


async def settled(hub: Hub, code: str) -> list[str]:
    rows = await hub.pool.fetch("select settlement from finding where code = $1 and settled_at is not null", code)
    return [row["settlement"] for row in rows]


async def offered(hub: Hub) -> list[str]:
    rows = await hub.pool.fetch("select accession from worklist where state = 'scheduled' and performing = ''")
    return [row["accession"] for row in rows]


@pytest.mark.parametrize("ended", [False, True])
async def test_a_step_is_linked_to_the_order_that_comes_after_it(hub: Hub, ended: bool) -> None:
    await begin(hub)
    if ended:
        await complete(hub)
    assert await hub.open_findings() == ["step-without-order"]
    await send(hub)
    assert await offered(hub) == []  # at once, before the gateway tells of it anew
    assert await tell(hub) == 1

    ordered, procedure = await hub.only("ServiceRequest"), await hub.only("Procedure")
    assert procedure["basedOn"] == [{"reference": f"ServiceRequest/{ordered['id']}"}]
    assert procedure["subject"] == ordered["subject"]
    assert (procedure["status"], ordered["status"]) == (
        ("completed", "completed") if ended else ("in-progress", "active")
    )
    Procedure.model_validate(procedure)
    assert await hub.open_findings() == []
    assert await settled(hub, "step-without-order") == ["The step was linked to its order."]
    assert (await known(hub)).orders == [ordered["id"]]
    assert await hub.pool.fetchval("select count(*) from awaited_order") == 0
    if not ended:
        await complete(hub)
        assert (await hub.only("ServiceRequest"))["status"] == "completed"
        assert len(await hub.resources("Procedure")) == 1


async def test_step_and_study_that_both_came_first_are_linked_and_the_study_is_judged_anew(hub: Hub) -> None:
    await begin(hub)
    await complete(hub)
    await hub.study(manifest("ACC1"))
    await hub.run()
    assert await cases(hub) == ["study-without-order"]
    await hub.pool.execute(
        "insert into study_state (uid, facility, channel, state, since) values ('2.25.1001', 'baishi', 'imaging', "
        "'whole', now())"
    )
    await send(hub)
    await tell(hub)
    based_on = [{"reference": f"ServiceRequest/{(await hub.only('ServiceRequest'))['id']}"}]
    assert (await hub.only("ImagingStudy"))["basedOn"] == based_on
    assert (await hub.only("Procedure"))["basedOn"] == based_on
    assert (await cases(hub), await hub.open_findings()) == ([], [])
    assert await hub.pool.fetchval("select look_at from study_state") is not None
    assert len((await hub.only("Task"))["input"]) == 1


async def test_every_study_of_the_order_is_linked_once(hub: Hub) -> None:
    await hub.study(manifest("ACC1"))
    await hub.study(manifest("ACC1", study_uid="2.25.2002", sop="2.25.9"))
    await hub.run()
    assert await cases(hub) == ["study-without-order"] * 2
    await send(hub)
    await send(hub, control_id="M2", control="XO")
    assert all(study["basedOn"] for study in await hub.resources("ImagingStudy"))
    assert len((await hub.only("Task"))["input"]) == 2
    assert (await cases(hub), await hub.open_findings()) == ([], [])


async def test_a_study_of_another_patient_waits_for_a_person_with_the_right_reason(hub: Hub) -> None:
    await hub.study(manifest("ACC1", patient="BS0007"))
    await hub.run()
    await send(hub)
    await send(hub, control_id="M2", control="XO")
    assert "basedOn" not in await hub.only("ImagingStudy")
    assert (await cases(hub), await hub.open_findings()) == (["study-patient-conflict"], ["study-patient-conflict"])
    assert await settled(hub, "study-without-order") == ["The order came: it is of another patient."]
    assert await offered(hub) == ["ACC1"]


async def test_a_study_whose_name_or_birth_date_differs_is_linked_and_waits_to_be_compared(hub: Hub) -> None:
    await hub.study({**manifest("ACC1", name="Wang^Wu"), "birth_date": "19800101"})
    await hub.run()
    await send(hub)
    assert (await hub.only("ImagingStudy"))["basedOn"]
    assert await cases(hub) == ["study-birth-date-differs", "study-name-differs"]
    assert await hub.open_findings() == ["study-birth-date-differs", "study-name-differs"]


async def test_a_study_that_was_rejected_is_not_linked(hub: Hub) -> None:
    await hub.study(manifest("ACC1"))
    await hub.run()
    await hub.study({**manifest("ACC1"), "series": [], "statements": 1})
    await hub.run()
    await send(hub)
    assert not (await hub.only("ImagingStudy")).get("basedOn")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"patient_id": "BS0007"}, "step-patient-conflict"),
        ({"patient_id": ""}, "step-patient-conflict"),
        ({"issuer": "OTHER"}, "step-patient-conflict"),
        ({"facility": "qingxi"}, "step-without-order"),
        ({"scheduled": [Scheduled("2.25.1001", "ACC9")]}, "step-without-order"),
    ],
)
async def test_what_does_not_agree_is_not_linked_and_says_why(hub: Hub, changes: dict[str, Any], found: str) -> None:
    await begin(hub, **changes)
    await send(hub)
    await tell(hub)
    assert (await known(hub)).orders == []
    assert "basedOn" not in await hub.only("Procedure")
    assert await hub.open_findings() == [found]
    assert await offered(hub) == ["ACC1"]


async def test_a_step_whose_accession_number_and_study_are_of_two_orders_is_linked_to_neither(hub: Hub) -> None:
    await send(hub)
    handed_out = await hub.pool.fetchval("select study_uid from worklist")
    await begin(hub, scheduled=[Scheduled(handed_out, "ACC2", "ACC2", "ACC2")])
    assert await hub.open_findings() == ["step-numbers-disagree"]
    await send(hub, placer="O2", accession="ACC2", control_id="M2")
    await tell(hub)
    assert (await known(hub)).orders == []
    assert await hub.open_findings() == ["step-numbers-disagree"]
    assert sorted(await offered(hub)) == ["ACC1", "ACC2"]


async def test_a_step_of_two_orders_waits_for_the_second(hub: Hub) -> None:
    await send(hub)
    await begin(hub, scheduled=[Scheduled("2.25.1001", "ACC1"), Scheduled("2.25.1009", "ACC2")])
    assert len((await known(hub)).orders) == 1
    await send(hub, placer="O2", accession="ACC2", control_id="M2")
    await tell(hub)
    assert len((await hub.only("Procedure"))["basedOn"]) == 2
    assert (await hub.open_findings(), await offered(hub)) == ([], [])


async def test_an_order_that_comes_cancelled_takes_nothing(hub: Hub) -> None:
    await begin(hub)
    await send(hub, control="CA")
    assert await tell(hub) == 0
    assert await hub.open_findings() == ["step-without-order"]


async def test_an_order_and_its_step_that_come_at_once_find_each_other(hub: Hub) -> None:
    """The order is recorded while the step is not committed yet: it waits for that, and sees it."""
    await hub.send("baishi-his", order(accession="ACC1"))
    async with hub.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        accessions, studies = numbers_of(STEP)
        await performed_steps.lock_numbers(connection, "baishi", [*accessions, *studies])
        step = linked(STEP, await performed_steps.candidates(connection, "baishi", accessions, studies))
        assert step.orders == []
        recording = asyncio.create_task(hub.run())
        async with asyncio.timeout(60):
            while not await hub.pool.fetchval(  # noqa: ASYNC110 - another connection brings it about
                "select count(*) from pg_locks where locktype = 'advisory' and not granted "
                "and database = (select oid from pg_database where datname = current_database())"
            ):
                await asyncio.sleep(0.005)
        await performed_steps.create(connection, step, MESSAGE, AT)
        await transaction.commit()
    await recording
    assert len((await known(hub)).orders) == 1
