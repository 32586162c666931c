"""A peer that breaks off, lies or says what none should harms nobody else and leaves nothing behind."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from engine.errors import StorageError
from pacs_gateway.scp.acceptor import Acceptor
from pacs_gateway.scp.limits import Limits
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element
from pacs_gateway.upper_layer.errors import AbortReason
from pacs_gateway.upper_layer.events import AssociationAccepted, AssociationRejected
from pacs_gateway.upper_layer.items import ContextResult, PresentationContextRQ, UserInformation
from pacs_gateway.upper_layer.pdus import AAbort, AAssociateRJ, AAssociateRQ
from tests.integration.scp.conftest import Call, Reception, Run, Start
from tests.integration.scp.peer import CT_STORAGE, EXPLICIT, IMPLICIT, VERIFICATION, Peer, store_request

OBJECT = bytes(range(256)) * 2000
US = ("-aet", "CT_BAISHI", "-aec", "HUTONG", "127.0.0.1")


def proposal() -> AAssociateRQ:
    contexts = (PresentationContextRQ(1, VERIFICATION, (IMPLICIT,)),)
    return AAssociateRQ("HUTONG", "CT_BAISHI", contexts, UserInformation(0, "1.2.3"))


def half_an_object(peer: Peer) -> bytes:
    whole = b"".join(peer.association.message(3, store_request(), OBJECT))
    return whole[: len(whole) // 2]


async def begun(peer: Peer, reception: Reception) -> None:
    """Lets the peer send half an object, and waits until some of it has arrived."""
    await peer.associate()
    peer.say(half_an_object(peer))
    await reception.until(lambda reception: len(reception.arrived) == 1)


async def serves(acceptor: Acceptor, dcmtk: Run) -> bool:
    return (await dcmtk("echoscu", *US, acceptor.port)).code == 0


async def test_one_that_vanishes_within_a_fragment(
    acceptor: Acceptor, reception: Reception, call: Call, dcmtk: Run
) -> None:
    peer = await call(acceptor)
    await begun(peer, reception)
    peer.vanish()
    await reception.until(lambda reception: reception.arrived[0].abandoned)
    assert await serves(acceptor, dcmtk)


async def test_one_that_aborts_within_an_object(acceptor: Acceptor, reception: Reception, call: Call) -> None:
    peer = await call(acceptor)
    await peer.associate()
    whole = list(peer.association.message(3, store_request(), OBJECT))
    peer.say(b"".join(whole[:-1]) + AAbort(0, 0).encode())
    await reception.until(lambda reception: [one.abandoned for one in reception.arrived] == [True])
    assert reception.kept == {}
    assert await peer.event() is None


async def test_one_that_aborts_after_its_release_need_not_wait_for_the_end(start: Start, call: Call) -> None:
    """As getscu of DCMTK does when objects fail: it waits until we close, for half a minute."""
    peer = await call(await start(Limits(artim_secs=3600.0)))
    await peer.associate()
    await peer.release()
    peer.say(AAbort(0, 0).encode())
    assert await peer.event() is None


async def test_one_that_asks_for_the_release_within_an_object(
    acceptor: Acceptor, reception: Reception, call: Call
) -> None:
    peer = await call(acceptor)
    await peer.associate()
    whole = list(peer.association.message(3, store_request(), OBJECT))
    peer.say(b"".join(whole[:-1]))
    await peer.release()
    assert reception.arrived[0].abandoned


async def test_one_that_lies_about_a_length_within_an_object(
    acceptor: Acceptor, reception: Reception, call: Call
) -> None:
    peer = await call(acceptor)
    await peer.associate()
    whole = list(peer.association.message(3, store_request(), OBJECT))
    peer.say(b"".join(whole[:-1]) + struct.pack(">BxIIBB", 4, 100, 0xFFFFFFF0, 3, 2) + bytes(94))
    assert (await peer.aborted()).abort == AAbort(2, AbortReason.INVALID_PDU_PARAMETER_VALUE)
    assert reception.arrived[0].abandoned
    assert reception.kept == {}


FIRST = {
    "HTTP": b"GET /dicomweb HTTP/1.1\r\nHost: x\r\n\r\n",
    "a request of 4 GB": struct.pack(">BxI", 1, 0xFFFFFFFF) + bytes(100_000),
    "an unknown PDU": struct.pack(">BxI", 0x99, 4) + bytes(4),
    "a data set": struct.pack(">BxIIBB", 4, 8, 4, 1, 2) + b"ab",
    "zeros": bytes(200_000),
}


@pytest.mark.parametrize("said", FIRST.values(), ids=FIRST)
async def test_one_that_does_not_speak_dicom(acceptor: Acceptor, call: Call, dcmtk: Run, said: bytes) -> None:
    peer = await call(acceptor)
    peer.say(said)
    assert (await peer.aborted()).abort.source == 0
    assert await serves(acceptor, dcmtk)


async def test_a_second_request_on_one_association(acceptor: Acceptor, call: Call) -> None:
    peer = await call(acceptor)
    await peer.associate()
    peer.say(proposal().encode())
    assert (await peer.aborted()).abort == AAbort(2, AbortReason.UNEXPECTED_PDU)


async def test_a_response_to_nothing(acceptor: Acceptor, call: Call) -> None:
    peer = await call(acceptor)
    await peer.associate()
    peer.ask(1, CommandSet.of(CommandField.C_ECHO_RSP, {Element.STATUS: 0}))
    assert (await peer.aborted()).abort.source == 2


async def test_a_cancellation_of_nothing_is_passed_over(acceptor: Acceptor, call: Call) -> None:
    peer = await call(acceptor)
    await peer.associate()
    peer.ask(1, CommandSet.of(CommandField.C_CANCEL_RQ, {Element.MESSAGE_ID_BEING_RESPONDED_TO: 7}))
    assert await peer.echo() == 0


@pytest.mark.parametrize("answering", [True, False])
async def test_a_cancellation_with_a_data_set(
    acceptor: Acceptor, reception: Reception, call: Call, answering: bool
) -> None:
    peer = await call(acceptor)
    await peer.associate()
    if answering:
        reception.open.clear()
        peer.ask(3, store_request(), OBJECT)
    peer.ask(3, CommandSet.of(CommandField.C_CANCEL_RQ, has_data_set=True), b"ab")
    assert (await peer.aborted()).abort.source == 2


@pytest.mark.parametrize(
    ("context_id", "field"), [(1, CommandField.C_STORE_RQ), (3, CommandField.C_FIND_RQ), (5, CommandField.N_CREATE_RQ)]
)
async def test_a_request_that_the_class_does_not_have(
    acceptor: Acceptor, call: Call, context_id: int, field: CommandField
) -> None:
    peer = await call(acceptor)
    await peer.associate()
    peer.ask(context_id, CommandSet.of(field, {Element.MESSAGE_ID: 9}, has_data_set=True), b"abcd" * 1000)
    response, _ = await peer.answer()
    assert response.number(Element.STATUS) == 0x0211
    assert (response.field, response.number(Element.MESSAGE_ID_BEING_RESPONDED_TO)) == (field | 0x8000, 9)
    assert await peer.echo() == 0


async def test_an_object_of_a_class_that_is_no_storage_class(
    acceptor: Acceptor, reception: Reception, call: Call
) -> None:
    peer = await call(acceptor)
    await peer.associate()
    peer.ask(3, store_request(sop_class="1.2.840.10008.5.1.4.31"), OBJECT)
    assert await peer.status() == 0x0122
    assert reception.arrived == []


async def test_an_object_without_a_data_set(acceptor: Acceptor, reception: Reception, call: Call) -> None:
    """The reception says what it makes of no bytes at all."""
    peer = await call(acceptor)
    await peer.associate()
    peer.ask(3, CommandSet.of(CommandField.C_STORE_RQ, {Element.AFFECTED_SOP_CLASS_UID: CT_STORAGE}))
    assert await peer.status() == 0
    assert reception.kept == {"": b""}


@pytest.mark.parametrize("when", ["beginning", "writing", "finishing"])
async def test_an_object_that_cannot_be_kept(acceptor: Acceptor, reception: Reception, call: Call, when: str) -> None:
    peer = await call(acceptor)
    await peer.associate()
    setattr(reception, f"fails_{when}", StorageError("no room: C:\\ is full"))
    peer.ask(3, store_request(), OBJECT)
    response, _ = await peer.answer()
    assert response.number(Element.STATUS) == 0xA700
    assert response.text(Element.ERROR_COMMENT) == "no room: C:/ is full"
    assert response.text(Element.AFFECTED_SOP_INSTANCE_UID) == "1.2.3.4"
    assert reception.kept == {}
    setattr(reception, f"fails_{when}", None)
    peer.ask(3, store_request("1.2.3.5"), OBJECT)
    assert await peer.status() == 0
    assert reception.kept == {"1.2.3.5": OBJECT}


async def test_a_fault_of_ours_ends_the_association_and_no_other(
    acceptor: Acceptor, reception: Reception, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    peer, other = await call(acceptor), await call(acceptor)
    await peer.associate()
    await other.associate()
    reception.fails_finishing = ZeroDivisionError("a fault")
    peer.ask(3, store_request(), OBJECT)
    assert (await peer.aborted()).abort.source == 0
    assert "ZeroDivisionError" in caplog.text
    assert await other.echo() == 0


async def test_a_private_class_is_refused_unless_the_entry_allows_it(
    acceptor: Acceptor, reception: Reception, call: Call
) -> None:
    private = "1.2.826.0.1.3680043.9.9999.1"
    contexts = {1: (VERIFICATION, IMPLICIT), 3: (private, EXPLICIT), 5: ("1.2.840.10008.9.9.9", EXPLICIT)}
    results = []
    for calling in ("CT_BAISHI", "CT_PRIVATE"):
        peer = await call(acceptor)
        accepted = await peer.associate(calling, contexts)
        assert isinstance(accepted, AssociationAccepted)
        results.append([one.result for one in accepted.answer.presentation_contexts])
    refused = ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED
    assert results == [[0, refused, refused], [0, 0, refused]]
    peer.ask(3, store_request(sop_class=private), OBJECT)
    assert await peer.status() == 0
    announced = reception.arrived[0].announced
    assert (announced.sop_class_uid, announced.facility) == (private, "qingxi")


async def test_encodings_are_the_proposers_choice_and_unknown_ones_are_refused(acceptor: Acceptor, call: Call) -> None:
    jpeg, unknown = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.999"
    contexts = {
        1: (CT_STORAGE, unknown, jpeg, EXPLICIT),
        3: (CT_STORAGE, IMPLICIT, EXPLICIT),
        5: (CT_STORAGE, unknown),
        7: (VERIFICATION, jpeg),
    }
    peer = await call(acceptor)
    accepted = await peer.associate(contexts=contexts)
    assert isinstance(accepted, AssociationAccepted)
    chosen = [(one.result, one.transfer_syntax) for one in accepted.answer.presentation_contexts]
    refused = ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED
    assert chosen == [(0, jpeg), (0, IMPLICIT), (refused, unknown), (refused, jpeg)]


async def test_a_fragment_under_a_context_that_was_refused(acceptor: Acceptor, call: Call) -> None:
    peer = await call(acceptor)
    await peer.associate(contexts={1: (VERIFICATION, IMPLICIT), 3: ("1.2.3", IMPLICIT)})
    peer.ask(3, store_request(), OBJECT)
    assert (await peer.aborted()).abort == AAbort(2, AbortReason.INVALID_PDU_PARAMETER_VALUE)


@pytest.mark.parametrize(
    ("calling", "reason"),
    [("CT_BAISHI", None), ("CT_BY_NAME", None), ("STRANGER", 3), ("CT_ELSEWHERE", 3), ("CT_NOWHERE", 3)],
)
async def test_who_may_call(acceptor: Acceptor, call: Call, calling: str, reason: int | None) -> None:
    peer = await call(acceptor)
    answer = await peer.associate(calling)
    if reason is None:
        assert isinstance(answer, AssociationAccepted)
    else:
        assert answer == AssociationRejected(AAssociateRJ(1, 1, reason))


@pytest.mark.parametrize(
    ("changes", "rejection"),
    [({"protocol_version": 2}, AAssociateRJ(1, 2, 2)), ({"application_context_name": "1.2"}, AAssociateRJ(1, 1, 2))],
)
async def test_another_protocol(
    acceptor: Acceptor, call: Call, changes: dict[str, int | str], rejection: AAssociateRJ
) -> None:
    peer = await call(acceptor)
    request = proposal()
    peer.association.request(request)
    peer.say(replace(request, **changes).encode())  # type: ignore[arg-type]  # the table above says which
    assert await peer.event() == AssociationRejected(rejection)


async def test_a_title_of_control_characters_does_not_reach_the_log(
    acceptor: Acceptor, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    peer = await call(acceptor)
    await peer.associate("A\n\x1b[31mB")
    assert "A??[31mB@127.0.0.1" in caplog.text
    assert "\x1b" not in caplog.text
