"""What DCMTK and pynetdicom send is understood, however it is cut."""

from __future__ import annotations

import pytest

from pacs_gateway.upper_layer.association import Association
from pacs_gateway.upper_layer.commands import CommandField, Element
from pacs_gateway.upper_layer.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    AssociationRequested,
    CommandReceived,
    DataReceived,
    ReleaseAgreed,
    ReleaseRequested,
)
from pacs_gateway.upper_layer.items import (
    AsynchronousOperationsWindow,
    PresentationContextAC,
    RoleSelection,
    SopClassCommonExtendedNegotiation,
    SopClassExtendedNegotiation,
    UserIdentityRQ,
)
from pacs_gateway.upper_layer.pdus import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ
from tests.unit.upper_layer.speaking import CR_STORAGE, FIXTURES, IMPLICIT, VERIFICATION, Seen, read, request

EXPLICIT = "1.2.840.10008.1.2.1"
REQUESTORS = sorted(path.name for path in FIXTURES.glob("*.scu.pdu"))
ACCEPTORS = sorted(path.name for path in FIXTURES.glob("*.scp.pdu"))


def bytes_of(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def fresh(name: str) -> Association:
    """The side that such a stream is sent to."""
    association = Association()
    if name.endswith(".scp.pdu"):
        association.request(request())
    return association


def spoken(name: str) -> list[Seen]:
    return read(fresh(name), [bytes_of(name)])


def test_an_echo() -> None:
    asked, command, release = spoken("echoscu.scu.pdu")
    assert isinstance(asked, AssociationRequested)
    pdu = asked.request
    assert (pdu.calling_ae_title, pdu.called_ae_title) == ("TESTSCU", "TESTSCP")
    (context,) = pdu.presentation_contexts
    assert (context.context_id, context.abstract_syntax, context.transfer_syntaxes) == (1, VERIFICATION, (IMPLICIT,))
    assert pdu.user_information.maximum_length == 16384
    assert pdu.user_information.implementation_version_name == "OFFIS_DCMTK_367"
    assert isinstance(command, CommandReceived)
    assert command.command.field == CommandField.C_ECHO_RQ
    assert command.command.text(Element.AFFECTED_SOP_CLASS_UID) == VERIFICATION
    assert not command.command.has_data_set
    assert release == ReleaseRequested()


def test_an_echo_is_answered() -> None:
    accepted, command, release = spoken("echoscu.scp.pdu")
    assert isinstance(accepted, AssociationAccepted)
    assert accepted.answer.presentation_contexts == (PresentationContextAC(1, 0, IMPLICIT),)
    assert isinstance(command, CommandReceived)
    assert command.command.field == CommandField.C_ECHO_RSP
    assert not command.command.is_request
    assert command.command.number(Element.STATUS) == 0
    assert release == ReleaseAgreed()


def test_an_object_under_one_of_128_contexts() -> None:
    asked, command, data, end, release = spoken("storescu.scu.pdu")
    assert isinstance(asked, AssociationRequested)
    assert [one.context_id for one in asked.request.presentation_contexts] == list(range(1, 256, 2))
    assert isinstance(command, CommandReceived)
    assert command.command.text(Element.AFFECTED_SOP_INSTANCE_UID) == "1.2.826.0.1.3680043.9.9999.7.1"
    assert isinstance(data, bytes)
    assert data.endswith(bytes(range(256)) * 2)
    assert end == DataReceived([], True)
    assert release == ReleaseRequested()


def test_a_query_and_its_match() -> None:
    _, query, keys, *_ = spoken("findscu.scu.pdu")
    assert isinstance(query, CommandReceived)
    assert query.command.field == CommandField.C_FIND_RQ
    assert isinstance(keys, bytes)
    assert keys.startswith(b"\x08\x00\x50\x00")
    _, match, found, _, last, _ = spoken("findscu.scp.pdu")
    assert isinstance(match, CommandReceived)
    assert isinstance(last, CommandReceived)
    assert [one.command.number(Element.STATUS) for one in (match, last)] == [0xFF00, 0x0000]
    assert isinstance(found, bytes)
    assert b"Test^One" in found


def test_every_kind_of_user_information() -> None:
    asked = spoken("pynetdicom.scu.pdu")[0]
    assert isinstance(asked, AssociationRequested)
    told = asked.request.user_information
    assert told.asynchronous_operations_window == AsynchronousOperationsWindow(invoked=5, performed=3)
    assert told.role_selections == (RoleSelection(CR_STORAGE, scu=True, scp=True),)
    assert told.extended == (SopClassExtendedNegotiation(CR_STORAGE, b"\2\0\0\0\1\0"),)
    related = ("1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.2")
    assert told.common_extended == (SopClassCommonExtendedNegotiation(CR_STORAGE, "1.2.840.10008.4.2", related),)
    assert told.user_identity == UserIdentityRQ(2, True, b"tester", b"secret")
    assert "secret" not in repr(told)


def test_every_kind_of_user_information_is_answered() -> None:
    accepted = spoken("pynetdicom.scp.pdu")[0]
    assert isinstance(accepted, AssociationAccepted)
    told = accepted.answer.user_information
    assert told.asynchronous_operations_window == AsynchronousOperationsWindow(1, 1)
    assert told.role_selections == (RoleSelection(CR_STORAGE, scu=True, scp=True),)
    results = [(one.context_id, one.result) for one in accepted.answer.presentation_contexts]
    assert results == [(1, 0), (3, 0), (5, 3)]


def test_a_rejection() -> None:
    assert spoken("rejected.scp.pdu") == [AssociationRejected(AAssociateRJ(1, 1, 3))]


def test_an_abort() -> None:
    assert spoken("echoscu_abort.scu.pdu")[-1] == Aborted(AAbort(0, 0))


@pytest.mark.parametrize("name", REQUESTORS + ACCEPTORS)
def test_byte_by_byte_it_is_the_same(name: str) -> None:
    data = bytes_of(name)
    assert read(fresh(name), [data[at : at + 1] for at in range(len(data))]) == spoken(name)


@pytest.mark.parametrize("name", [name for name in REQUESTORS + ACCEPTORS if len(bytes_of(name)) < 2000])
def test_cut_in_two_anywhere_it_is_the_same(name: str) -> None:
    data, whole = bytes_of(name), spoken(name)
    for at in range(1, len(data)):
        assert read(fresh(name), [data[:at], data[at:]]) == whole, at


@pytest.mark.parametrize("name", REQUESTORS + ACCEPTORS)
def test_cut_off_anywhere_it_is_a_beginning_of_the_same(name: str) -> None:
    data, whole = bytes_of(name), spoken(name)
    for at in range(0, len(data), 7):
        begun = read(fresh(name), [data[:at]])
        if begun and isinstance(begun[-1], bytes):
            told = whole[len(begun) - 1]
            assert isinstance(told, bytes)
            assert told.startswith(begun.pop())  # type: ignore[arg-type]  # it was just looked at
        assert begun == whole[: len(begun)], at


@pytest.mark.parametrize("name", REQUESTORS + ACCEPTORS)
def test_what_a_real_peer_sends_first_is_encoded_as_long_and_says_the_same(name: str) -> None:
    """Not the same bytes: DCMTK fills reserved fields, and user information may come in any order."""
    data, first = bytes_of(name), spoken(name)[0]
    length = int.from_bytes(data[2:6], "big")
    match first:
        case AssociationRequested(pdu):
            encoded, decoded = pdu.encode(), AAssociateRQ.decode(pdu.encode()[6:])
            assert decoded == pdu
        case AssociationAccepted(answer):
            encoded = answer.encode()
            assert AAssociateAC.decode(encoded[6:]) == answer
        case AssociationRejected(answer):
            encoded = answer.encode()
            assert encoded == data
    assert len(encoded) == length + 6
