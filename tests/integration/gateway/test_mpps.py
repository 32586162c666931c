"""A modality says what it performs: worklist, study and others hear of it, and nonsense is refused."""

from __future__ import annotations

import asyncio
import json
import struct
from pathlib import Path
from typing import Any

import asyncpg
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pynetdicom import AE, evt

from engine import clock
from engine.config import DicomEndpoint
from engine.steps import linked
from engine.store import performed_steps, worklist
from pacs_gateway import stepping
from pacs_gateway.gateway import Gateway
from pacs_gateway.query.identifier import encoded
from pacs_gateway.scu.peer import Peer, Proposal
from pacs_gateway.scu.requestor import opened
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element
from tests.integration.gateway.conftest import RecordingIntake, Start, Write
from tests.integration.gateway.performing import PERFORMED_STEP, begun, change, code, create, ended, modality, scheduled
from tests.integration.gateway.sending import PATIENCE_SECS, until
from tests.integration.gateway.test_worklists import accessions, step

STEP = "1.2.3.5"
INVALID_VALUE, FAILURE, DUPLICATE, UNKNOWN, MISSING, EMPTY = 0x0106, 0x0110, 0x0111, 0x0112, 0x0120, 0x0121
ENDLESS = 0xFFFFFFFF
CR = "1.2.840.10008.5.1.4.1.1.1"


@pytest.fixture
async def worklist_of_two(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await worklist.put(connection, [step(1), step(2), step(3, facility="qingxi", patient_id="P0001")])


async def performed(pool: asyncpg.Pool, uid: str = STEP) -> dict[str, Any]:
    told = await pool.fetchval("select told from performed_step where uid = $1", uid)
    found: dict[str, Any] = json.loads(told)
    return found


async def found_in(pool: asyncpg.Pool, uid: str = STEP) -> list[str]:
    return [finding["code"] for finding in (await performed(pool, uid)).get("findings", [])]


async def test_a_step_that_is_performed_is_not_offered_again(
    gateway: Gateway, pool: asyncpg.Pool, worklist_of_two: None
) -> None:
    answer = await asyncio.to_thread(create, gateway.port, begun())
    assert answer.Status == 0
    assert await accessions(gateway) == ["A0002"]
    assert (await asyncio.to_thread(change, gateway.port, ended())).Status == 0
    assert await accessions(gateway) == ["A0002"]
    assert (await performed(pool))["orders"] == ["sr1"]


async def test_a_discontinued_step_is_offered_again_and_may_be_begun_again(
    gateway: Gateway, pool: asyncpg.Pool, worklist_of_two: None
) -> None:
    await asyncio.to_thread(create, gateway.port, begun())
    reason = code("110501", "Equipment failure")
    stop = ended("DISCONTINUED", (), PerformedProcedureStepDiscontinuationReasonCodeSequence=reason)
    assert (await asyncio.to_thread(change, gateway.port, stop)).Status == 0
    assert await accessions(gateway) == ["A0001", "A0002"]
    assert (await performed(pool))["reason"] == {"value": "110501", "scheme": "DCM", "meaning": "Equipment failure"}
    assert (await asyncio.to_thread(create, gateway.port, begun(), "1.2.3.6")).Status == 0
    assert await accessions(gateway) == ["A0002"]


async def test_an_order_that_one_of_two_steps_completed_stays_done(gateway: Gateway, worklist_of_two: None) -> None:
    for uid in (STEP, "1.2.3.6"):
        await asyncio.to_thread(create, gateway.port, begun(), uid)
    await asyncio.to_thread(change, gateway.port, ended())
    await asyncio.to_thread(change, gateway.port, ended("DISCONTINUED"), "1.2.3.6")
    assert await accessions(gateway) == ["A0002"]


async def test_one_step_may_perform_several_orders(gateway: Gateway, pool: asyncpg.Pool, worklist_of_two: None) -> None:
    async with pool.acquire() as connection:
        await worklist.put(connection, [step(2, patient_id="P0001")])
    both = begun(scheduled(), scheduled("A0002", "1.2.3.2"))
    assert (await asyncio.to_thread(create, gateway.port, both)).Status == 0
    assert await accessions(gateway) == []
    assert (await performed(pool))["orders"] == ["sr1", "sr2"]


async def test_what_it_made_is_announced_of_its_study(
    gateway: Gateway, pool: asyncpg.Pool, worklist_of_two: None
) -> None:
    await asyncio.to_thread(create, gateway.port, begun())
    await asyncio.to_thread(change, gateway.port, ended("IN PROGRESS", ("1.2.3.9.1",)))
    await asyncio.to_thread(change, gateway.port, ended())
    rows = await pool.fetch("select facility, study_uid, source, about, said_by, sop_uid from announced_instance")
    assert sorted(tuple(row) for row in rows) == [
        ("baishi", "1.2.3.1", "mpps", STEP, "DR_BAISHI", "1.2.3.9.1"),
        ("baishi", "1.2.3.1", "mpps", STEP, "DR_BAISHI", "1.2.3.9.2"),
    ]


async def test_a_step_that_ends_without_naming_its_objects_anew_has_its_study_judged(
    gateway: Gateway, pool: asyncpg.Pool
) -> None:
    await asyncio.to_thread(create, gateway.port, begun())
    await asyncio.to_thread(change, gateway.port, ended("IN PROGRESS"))

    async def missing() -> bool:
        return bool(await pool.fetchval("select missing = 2 from study_state where uid = '1.2.3.1'"))

    await until(missing)
    await pool.execute("update study_state set look_at = null, missing = 0, state = 'whole'")
    last = Dataset()
    last.PerformedProcedureStepStatus = "COMPLETED"
    assert (await asyncio.to_thread(change, gateway.port, last)).Status == 0
    await until(missing)


async def test_every_data_set_is_kept_as_it_came(gateway: Gateway, pool: asyncpg.Pool) -> None:
    await asyncio.to_thread(create, gateway.port, begun())
    await asyncio.to_thread(change, gateway.port, ended())
    kept = await pool.fetch("select revision, peer, data_set from performed_step_message order by revision")
    assert [row["revision"] for row in kept] == [1, 2]
    assert kept[0]["peer"].startswith("DR_BAISHI@")
    assert "胸部正位".encode() in kept[0]["data_set"]


async def test_the_engine_hears_of_each_state(gateway: Gateway, intake: RecordingIntake) -> None:
    await asyncio.to_thread(create, gateway.port, begun())
    assert json.loads((await intake.of(STEP)).payload)["state"] == "IN PROGRESS"
    await asyncio.to_thread(change, gateway.port, ended())
    told = await intake.of(STEP, 2)
    assert (told.facility, told.patient_ids) == ("baishi", ["P0001"])
    assert json.loads(told.payload)["state"] == "COMPLETED"
    assert json.loads(told.payload)["series"][0]["instances"] == 2


async def test_a_step_is_told_of_after_the_gateway_was_restarted(
    start: Start, pool: asyncpg.Pool, intake: RecordingIntake, objects: Path
) -> None:
    first = await start()
    await asyncio.to_thread(create, first.port, begun())
    await intake.of(STEP)
    await first.close()
    await pool.execute("update performed_step set noticed_revision = 0")
    await start()
    await intake.of(STEP, 2)


async def test_a_step_whose_order_comes_later_is_told_of_anew(
    gateway: Gateway, pool: asyncpg.Pool, intake: RecordingIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is recorded by another process."""
    monkeypatch.setattr(stepping, "LOOK_SECS", 0.05)
    await asyncio.to_thread(create, gateway.port, begun())
    assert json.loads((await intake.of(STEP)).payload)["orders"] == []
    order = step(1)
    async with pool.acquire() as connection, connection.transaction():
        (waiting,) = await performed_steps.awaiting(connection, "baishi", [order.accession])
        await performed_steps.link(connection, linked(waiting, [order]), clock.now())
        await worklist.put(connection, [order])
        await performed_steps.perform(connection, ["sr1"])
    told = json.loads((await intake.of(STEP, 2)).payload)
    assert (told["orders"], told["findings"]) == (["sr1"], [])
    assert await accessions(gateway) == []
    await asyncio.to_thread(change, gateway.port, ended())
    assert json.loads((await intake.of(STEP, 3)).payload)["orders"] == ["sr1"]


async def test_an_unscheduled_step_is_taken_and_said_to_be_of_no_order(
    gateway: Gateway, pool: asyncpg.Pool, worklist_of_two: None
) -> None:
    assert (await asyncio.to_thread(create, gateway.port, begun(scheduled("", "1.9.9")))).Status == 0
    assert await accessions(gateway) == ["A0001", "A0002"]
    assert await found_in(pool) == ["step-without-order"]


async def test_a_step_of_another_patient_leaves_the_order_on_the_worklist(
    gateway: Gateway, pool: asyncpg.Pool, worklist_of_two: None
) -> None:
    assert (await asyncio.to_thread(create, gateway.port, begun(PatientID="P0007"))).Status == 0
    assert await accessions(gateway) == ["A0001", "A0002"]
    assert await found_in(pool) == ["step-patient-conflict"]


async def test_numbers_of_two_orders_are_linked_to_neither(
    gateway: Gateway, pool: asyncpg.Pool, worklist_of_two: None
) -> None:
    assert (await asyncio.to_thread(create, gateway.port, begun(scheduled("A0001", "1.2.3.2")))).Status == 0
    assert await accessions(gateway) == ["A0001", "A0002"]
    assert await found_in(pool) == ["step-numbers-disagree"]


async def test_the_same_numbers_at_another_facility_are_another_examination(
    gateway: Gateway, pool: asyncpg.Pool, worklist_of_two: None
) -> None:
    step_of_another = begun(scheduled("A0001", "1.9.9"))
    assert (await asyncio.to_thread(create, gateway.port, step_of_another, STEP, "DR_QINGXI")).Status == 0
    assert (await performed(pool))["orders"] == []
    assert await accessions(gateway) == ["A0001", "A0002"]
    assert (await asyncio.to_thread(change, gateway.port, ended())).Status == UNKNOWN  # it is of the other facility


async def test_a_step_that_is_there_is_not_created_again(gateway: Gateway) -> None:
    assert (await asyncio.to_thread(create, gateway.port, begun())).Status == 0
    assert (await asyncio.to_thread(create, gateway.port, begun())).Status == DUPLICATE


async def test_a_step_that_nobody_created_cannot_be_changed(gateway: Gateway) -> None:
    assert (await asyncio.to_thread(change, gateway.port, ended())).Status == UNKNOWN


@pytest.mark.parametrize("last", ["COMPLETED", "DISCONTINUED"])
async def test_a_step_that_has_ended_may_no_longer_be_updated(gateway: Gateway, pool: asyncpg.Pool, last: str) -> None:
    await asyncio.to_thread(create, gateway.port, begun())
    assert (await asyncio.to_thread(change, gateway.port, ended(last))).Status == 0
    answer = await asyncio.to_thread(change, gateway.port, ended("IN PROGRESS"))
    assert (answer.Status, answer.ErrorID) == (FAILURE, 0xA710)
    assert (await performed(pool))["state"] == last


REFUSED: list[tuple[str, Dataset, int]] = [
    ("no status", begun(PerformedProcedureStepStatus=None), MISSING),
    ("an empty status", begun(PerformedProcedureStepStatus=""), EMPTY),
    ("completed at creation", begun(PerformedProcedureStepStatus="COMPLETED"), INVALID_VALUE),
    ("no scheduled step", begun(ScheduledStepAttributesSequence=None), MISSING),
    ("an empty scheduled step", begun(ScheduledStepAttributesSequence=Items()), EMPTY),
    ("no study", begun(scheduled("A0001", "")), EMPTY),
    ("a study that is none", begun(scheduled("A0001", "../../etc")), INVALID_VALUE),
    ("no identifier", begun(PerformedProcedureStepID=None), MISSING),
    ("an empty station", begun(PerformedStationAETitle=""), EMPTY),
    ("no modality", begun(Modality=None), MISSING),
    ("a date that is none", begun(PerformedProcedureStepStartDate="20261399"), INVALID_VALUE),
]


async def test_what_lacks_or_breaks_an_attribute_is_refused_with_its_status(
    gateway: Gateway, pool: asyncpg.Pool, recwarn: pytest.WarningsRecorder
) -> None:
    def ask() -> list[tuple[str, int]]:
        with modality(gateway.port) as association:
            return [
                (what, association.send_n_create(sent, PERFORMED_STEP, STEP)[0].Status) for what, sent, _ in REFUSED
            ]

    assert await asyncio.to_thread(ask) == [(what, status) for what, _, status in REFUSED]
    assert await pool.fetchval("select count(*) from performed_step") == 0


async def test_a_status_that_is_none_changes_nothing(gateway: Gateway, pool: asyncpg.Pool) -> None:
    await asyncio.to_thread(create, gateway.port, begun())
    assert (await asyncio.to_thread(change, gateway.port, ended("DONE"))).Status == INVALID_VALUE
    assert (await asyncio.to_thread(change, gateway.port, ended(objects=("x/y",)))).Status == INVALID_VALUE
    assert (await performed(pool))["state"] == "IN PROGRESS"


async def test_a_step_without_an_instance_uid_is_given_one(gateway: Gateway, pool: asyncpg.Pool) -> None:
    peer = Peer("HUTONG", "127.0.0.1", gateway.port, PATIENCE_SECS)
    async with opened(peer, "DR_BAISHI", [Proposal(PERFORMED_STEP)]) as requestor:
        answer = await requestor.ask(PERFORMED_STEP, creation(), encoded(begun(), EXPLICIT_VR_LITTLE_ENDIAN))
    assert answer.status == 0
    assert answer.command.number(Element.MESSAGE_ID_BEING_RESPONDED_TO) == 7
    assert answer.command.text(Element.AFFECTED_SOP_CLASS_UID) == PERFORMED_STEP
    given = answer.command.text(Element.AFFECTED_SOP_INSTANCE_UID)
    assert given.startswith("2.25.")
    assert await pool.fetchval("select uid from performed_step") == given


async def test_text_under_a_wrong_label_is_repaired_and_told(gateway: Gateway, pool: asyncpg.Pool) -> None:
    mislabelled = begun(SpecificCharacterSet="ISO_IR 100")
    mislabelled.PatientName, mislabelled.PerformedProcedureStepDescription = "ZHANG", "CHEST"
    mislabelled.add_new(0x00400254, "LO", "胸部正位".encode("gb18030"))
    assert (await asyncio.to_thread(create, gateway.port, mislabelled)).Status == 0
    told = await performed(pool)
    assert told["description"] == "胸部正位"
    assert {found["location"] for found in told["findings"] if found["code"].startswith("charset")} == {"(0008,0005)"}


def nested(depth: int) -> bytes:
    """A Performed Series Sequence within a Performed Series Sequence within …, in implicit VR."""
    inner = b""
    for _ in range(depth):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
        inner = struct.pack("<HHI", 0x0040, 0x0340, len(item)) + item
    return inner


HOSTILE: list[tuple[str, bytes, int]] = [
    ("nothing", b"", FAILURE),
    ("a length beyond the end", struct.pack("<HHI", 0x0040, 0x0252, 1 << 30) + b"IN", FAILURE),
    ("cut off within an element", encoded(begun(), IMPLICIT_VR_LITTLE_ENDIAN)[:-3] + b"\1", FAILURE),
    ("nested 50 deep", nested(50), INVALID_VALUE),
    ("nested 5000 deep", nested(5000), INVALID_VALUE),
    ("sequences without an end", struct.pack("<HHIHHI", 0x40, 0x340, ENDLESS, 0xFFFE, 0xE000, ENDLESS) * 5000, FAILURE),
    ("no data set but noise", bytes(range(256)) * 40, FAILURE),
    ("as it should be", encoded(begun(), IMPLICIT_VR_LITTLE_ENDIAN), 0),
]


async def test_what_is_no_data_set_is_refused_and_the_next_is_taken(gateway: Gateway) -> None:
    answered: list[tuple[str, int]] = []
    proposal = Proposal(PERFORMED_STEP, (IMPLICIT_VR_LITTLE_ENDIAN,))
    async with opened(Peer("HUTONG", "127.0.0.1", gateway.port, PATIENCE_SECS), "DR_BAISHI", [proposal]) as requestor:
        for what, sent, _ in HOSTILE:
            answer = await requestor.ask(PERFORMED_STEP, creation(), sent)
            answered.append((what, answer.status))
    assert answered == [(what, status) for what, _, status in HOSTILE]


def creation() -> CommandSet:
    return CommandSet.of(
        CommandField.N_CREATE_RQ,
        {Element.MESSAGE_ID: 7, Element.AFFECTED_SOP_CLASS_UID: PERFORMED_STEP},
        has_data_set=True,
    )


async def test_a_step_that_cannot_be_kept_is_not_answered_with_success(gateway: Gateway, pool: asyncpg.Pool) -> None:
    await pool.execute("alter table performed_step rename to performed_step_gone")
    assert (await asyncio.to_thread(create, gateway.port, begun())).Status == FAILURE
    await pool.execute("alter table performed_step_gone rename to performed_step")
    assert (await asyncio.to_thread(create, gateway.port, begun())).Status == 0


async def test_objects_and_steps_may_share_an_association(
    gateway: Gateway, pool: asyncpg.Pool, radiograph: Write
) -> None:
    made = pydicom.dcmread(radiograph(StudyInstanceUID="1.2.3.1"))

    def perform() -> list[int]:
        with modality(gateway.port, "DR_BAISHI", CR) as association:
            return [
                association.send_n_create(begun(), PERFORMED_STEP, STEP)[0].Status,
                association.send_c_store(made).Status,
                association.send_n_set(ended(objects=(made.SOPInstanceUID,)), PERFORMED_STEP, STEP)[0].Status,
            ]

    assert await asyncio.to_thread(perform) == [0, 0, 0]
    assert await pool.fetchval("select sop_uid from announced_instance") == made.SOPInstanceUID


async def test_an_endpoint_is_told_of_the_steps_of_the_facilities_it_is_to_hear_of(
    pool: asyncpg.Pool, start: Start
) -> None:
    heard: list[tuple[str, Dataset]] = []

    def take_create(event: Any) -> tuple[int, Dataset]:
        heard.append((str(event.request.AffectedSOPInstanceUID), event.attribute_list))
        return 0x0000, Dataset()

    def take_set(event: Any) -> tuple[int, Dataset]:
        heard.append((str(event.request.RequestedSOPInstanceUID), event.modification_list))
        return 0x0000, Dataset()

    ris = AE("RIS")
    ris.add_supported_context(PERFORMED_STEP, "1.2.840.10008.1.2")  # implicit only: the modality sent something else
    server: Any = ris.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_CREATE, take_create), (evt.EVT_N_SET, take_set)]
    )
    try:
        endpoint = DicomEndpoint(type="dicom", name="ris", facility="county", host="127.0.0.1",
                                 port=server.server_address[1], ae_title="RIS",
                                 performed_steps_of=("baishi",))  # fmt: skip
        gateway = await start(endpoints={"ris": endpoint})
        await asyncio.to_thread(create, gateway.port, begun(), "1.2.3.6", "DR_QINGXI")
        await asyncio.to_thread(create, gateway.port, begun())
        await asyncio.to_thread(change, gateway.port, ended())

        async def all_told() -> bool:
            return not await pool.fetchval("select count(*) from delivery where state = 'owed'")

        await until(all_told)
    finally:
        server.shutdown()
    assert [uid for uid, _ in heard] == [STEP, STEP]
    assert str(heard[0][1].PatientName) == "ZHANG^ZHIHONG=张智宏"
    assert heard[1][1].PerformedProcedureStepStatus == "COMPLETED"
