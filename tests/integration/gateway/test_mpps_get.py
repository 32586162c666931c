"""What is said of a step can be asked for again (MPPS Retrieve), by those of its facility, in Unicode."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence

import asyncpg
import pytest
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pynetdicom import AE

from pacs_gateway.gateway import Gateway
from pacs_gateway.query.identifier import decoded
from pacs_gateway.scu.peer import Peer, Proposal
from pacs_gateway.scu.requestor import opened
from pacs_gateway.transfer_syntaxes import IMPLICIT_VR_LITTLE_ENDIAN
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element
from tests.integration.gateway.performing import PERFORMED_STEP, begun, change, create, ended
from tests.integration.gateway.sending import PATIENCE_SECS

RETRIEVE = "1.2.840.10008.3.1.2.3.4"
STEP = "1.2.3.5"
WARNING, LIST_ERROR, FAILURE, UNKNOWN, CONFLICT = 0x0001, 0x0107, 0x0110, 0x0112, 0x0119


def get(
    port: int, keywords: Sequence[str] = (), uid: str = STEP, calling: str = "DR_BAISHI", syntax: str | None = None
) -> tuple[Dataset, Dataset]:
    """The status and what the step is. Blocking."""
    entity = AE(calling)
    entity.add_requested_context(RETRIEVE, syntax)
    association = entity.associate("127.0.0.1", port, ae_title="HUTONG")
    assert association.is_established
    tags = [Tag(keyword) for keyword in keywords]
    answer, step = association.send_n_get(tags, RETRIEVE, uid)
    association.release()
    return answer, step or Dataset()


@pytest.fixture
async def port(gateway: Gateway) -> int:
    await asyncio.to_thread(create, gateway.port, begun())
    return gateway.port


async def test_a_step_is_what_all_its_messages_say(port: int) -> None:
    await asyncio.to_thread(change, port, ended("IN PROGRESS", ("1.2.3.9.1",)))
    last = ended(SpecificCharacterSet="GB18030", PerformedProcedureStepDescription="胸部正侧位", PatientID="P9999")
    last.PatientName = "LI^SI"
    await asyncio.to_thread(change, port, last)
    answer, step = await asyncio.to_thread(get, port)
    assert answer.Status == 0
    assert step.PerformedProcedureStepStatus == "COMPLETED"
    assert (str(step.PatientName), step.PatientID) == ("ZHANG^ZHIHONG=张智宏", "P0001")  # is not set again
    assert (step.PerformedProcedureStepDescription, step.SpecificCharacterSet) == ("胸部正侧位", "ISO_IR 192")
    assert [len(series.ReferencedImageSequence) for series in step.PerformedSeriesSequence] == [2]
    assert step.ScheduledStepAttributesSequence[0].AccessionNumber == "A0001"


async def test_only_what_was_asked_for_is_answered_and_what_is_not_there_is_said(port: int) -> None:
    answer, step = await asyncio.to_thread(get, port, ["PerformedProcedureStepStatus", "Modality"])
    assert (answer.Status, [element.keyword for element in step]) == (0, ["Modality", "PerformedProcedureStepStatus"])
    answer, step = await asyncio.to_thread(get, port, ["PatientName", "PerformedProcedureStepEndDate"])
    assert answer.Status == 0
    assert (step.PerformedProcedureStepEndDate, step.SpecificCharacterSet) == ("", "ISO_IR 192")
    answer, step = await asyncio.to_thread(get, port, ["Modality", "TotalNumberOfExposures"])
    assert (answer.Status, step.Modality) == (WARNING, "DX")
    assert "TotalNumberOfExposures" not in step


async def test_what_is_no_attribute_is_named_in_the_answer(port: int) -> None:
    answer, listed, step = await ask(port, struct.pack("<6H", 0x0008, 0x0060, 0x0009, 0x0001, 0x0000, 0x0900))
    assert answer == LIST_ERROR
    assert listed == struct.pack("<4H", 0x0009, 0x0001, 0x0000, 0x0900)
    assert decoded(step, IMPLICIT_VR_LITTLE_ENDIAN).Modality == "DX"


async def test_the_answer_says_which_step_it_is_of(port: int) -> None:
    async with opened(Peer("HUTONG", "127.0.0.1", port, PATIENCE_SECS), "DR_BAISHI", [Proposal(RETRIEVE)]) as requestor:
        answer = (await requestor.ask(RETRIEVE, request())).command
    told = [answer.text(one) for one in (Element.AFFECTED_SOP_CLASS_UID, Element.AFFECTED_SOP_INSTANCE_UID)]
    assert told == [RETRIEVE, STEP]


async def test_a_list_that_is_none_is_refused(port: int) -> None:
    for listed in (b"\x08\x00\x60", struct.pack("<2H", 0x0008, 0x0060) * 5_000):
        assert (await ask(port, listed))[0] == FAILURE


async def test_a_step_of_another_facility_or_of_nobody_is_not_there(port: int, pool: asyncpg.Pool) -> None:
    for uid, calling in (("1.2.3.404", "DR_BAISHI"), ("", "DR_BAISHI"), (STEP, "DR_QINGXI")):
        assert (await ask(port, b"", uid=uid, calling=calling))[0] == UNKNOWN, (uid, calling)
    assert (await ask(port, b"", sop_class="1.2.840.10008.1.1"))[0] == CONFLICT
    assert (await ask(port, b"", sop_class=PERFORMED_STEP))[0] == 0
    await pool.execute("alter table performed_step_message rename to gone")
    assert (await ask(port, b""))[0] == FAILURE


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
async def test_it_comes_in_the_encoding_of_whoever_asks(port: int, syntax: str) -> None:
    await asyncio.to_thread(change, port, ended())
    answer, step = await asyncio.to_thread(get, port, (), STEP, "DR_BAISHI", syntax)
    assert answer.Status == 0
    assert str(step.PatientName) == "ZHANG^ZHIHONG=张智宏"
    assert step.PerformedSeriesSequence[0].ProtocolName == "CHEST PA"


async def test_messages_under_different_and_wrong_labels_are_one_text(gateway: Gateway) -> None:
    mislabelled = begun(SpecificCharacterSet="ISO_IR 100")
    mislabelled.PatientName, mislabelled.PerformedProcedureStepDescription = "ZHANG", "CHEST"
    mislabelled.add_new(0x00400254, "LO", "胸部正位".encode("gb18030"))
    await asyncio.to_thread(create, gateway.port, mislabelled)
    last = ended(SpecificCharacterSet="GB18030")
    last.PerformedSeriesSequence[0].SeriesDescription = "侧位"
    last.PerformedProcedureStepStartDate = "20260102"
    await asyncio.to_thread(change, gateway.port, last)
    _, step = await asyncio.to_thread(get, gateway.port)
    assert step.PerformedProcedureStepDescription == "胸部正位"
    assert step.PerformedSeriesSequence[0].SeriesDescription == "侧位"


async def test_what_cannot_be_read_of_a_step_is_left_out(gateway: Gateway) -> None:
    odd = begun()
    odd.add_new(0x00200013, "LO", "no number")
    await asyncio.to_thread(create, gateway.port, odd)
    answer, step = await asyncio.to_thread(get, gateway.port, (), STEP, "DR_BAISHI", "1.2.840.10008.1.2")
    assert (answer.Status, step.Modality) == (0, "DX")


async def ask(
    port: int, listed: bytes, uid: str = STEP, calling: str = "DR_BAISHI", sop_class: str = RETRIEVE
) -> tuple[int, bytes, bytes]:
    """Status, Attribute Identifier List and data set of an answer to what no library would ask."""
    command = request(uid, sop_class)
    if listed:
        command = CommandSet({**command.elements, Element.ATTRIBUTE_IDENTIFIER_LIST: listed})
    proposal = Proposal(RETRIEVE, (IMPLICIT_VR_LITTLE_ENDIAN,))
    async with opened(Peer("HUTONG", "127.0.0.1", port, PATIENCE_SECS), calling, [proposal]) as requestor:
        answer = await requestor.ask(RETRIEVE, command)
    return answer.status, answer.command.elements.get(Element.ATTRIBUTE_IDENTIFIER_LIST, b""), answer.data_set


def request(uid: str = STEP, sop_class: str = RETRIEVE) -> CommandSet:
    values: dict[Element, int | str] = {
        Element.MESSAGE_ID: 1,
        Element.REQUESTED_SOP_CLASS_UID: sop_class,
        Element.REQUESTED_SOP_INSTANCE_UID: uid,
    }
    return CommandSet.of(CommandField.N_GET_RQ, values)
