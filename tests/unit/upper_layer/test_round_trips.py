"""What is encoded is decoded as the same, whatever it says and however it is cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_gateway.upper_layer.association import Association, State
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element
from pacs_gateway.upper_layer.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    CommandReceived,
    DataReceived,
    ReleaseAgreed,
    ReleaseRequested,
)
from pacs_gateway.upper_layer.items import (
    AsynchronousOperationsWindow,
    PresentationContextAC,
    PresentationContextRQ,
    RoleSelection,
    SopClassCommonExtendedNegotiation,
    SopClassExtendedNegotiation,
    UserIdentityAC,
    UserIdentityRQ,
    UserInformation,
)
from pacs_gateway.upper_layer.pdus import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ
from tests.unit.upper_layer.speaking import acceptance, established, feed, read, request, store_request

uids = st.text("0123456789.", min_size=1, max_size=64)
titles = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=16)
shorts = st.integers(0, 0xFFFF)
numbers = st.integers(0, 127).map(lambda number: 2 * number + 1)
blobs = st.binary(max_size=200)

information = st.builds(
    UserInformation,
    maximum_length=st.integers(8, 0xFFFFFFFF) | st.just(0),
    implementation_class_uid=uids,
    implementation_version_name=titles | st.just(""),
    asynchronous_operations_window=st.none() | st.builds(AsynchronousOperationsWindow, shorts, shorts),
    role_selections=st.lists(st.builds(RoleSelection, uids, st.booleans(), st.booleans()), max_size=3).map(tuple),
    extended=st.lists(st.builds(SopClassExtendedNegotiation, uids, blobs), max_size=3).map(tuple),
    common_extended=st.lists(
        st.builds(SopClassCommonExtendedNegotiation, uids, uids, st.lists(uids, max_size=3).map(tuple)), max_size=3
    ).map(tuple),
    user_identity=st.none() | st.builds(UserIdentityRQ, st.integers(1, 5), st.booleans(), blobs, blobs),
    user_identity_response=st.none() | st.builds(UserIdentityAC, blobs),
)
proposals = st.lists(
    st.builds(PresentationContextRQ, numbers, uids, st.lists(uids, min_size=1, max_size=4).map(tuple)),
    min_size=1,
    max_size=8,
    unique_by=lambda one: one.context_id,
).map(tuple)
answers = st.lists(
    st.builds(PresentationContextAC, numbers, st.integers(0, 4), uids), max_size=8, unique_by=lambda one: one.context_id
).map(tuple)


@given(st.builds(AAssociateRQ, titles, titles, proposals, information, uids, shorts))
def test_a_request(pdu: AAssociateRQ) -> None:
    assert AAssociateRQ.decode(pdu.encode()[6:]) == pdu


@given(st.builds(AAssociateAC, titles, titles, answers, information, uids, shorts))
def test_an_acceptance(pdu: AAssociateAC) -> None:
    assert AAssociateAC.decode(pdu.encode()[6:]) == pdu


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_a_rejection(result: int, source: int, reason: int) -> None:
    association = Association()
    association.request(request())
    pdu = AAssociateRJ(result, source, reason)
    feed(association, pdu.encode())
    assert association.next_event() == AssociationRejected(pdu)
    assert association.state is State.CLOSED


@given(st.integers(0, 255), st.integers(0, 255))
def test_an_abort(source: int, reason: int) -> None:
    association = established()
    feed(association, AAbort(source, reason).encode())
    assert association.next_event() == Aborted(AAbort(source, reason))


texts = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=16)
NUMBERS = (Element.MESSAGE_ID, Element.STATUS, Element.NUMBER_OF_FAILED_SUB_OPERATIONS)
TEXTS = (Element.AFFECTED_SOP_CLASS_UID, Element.ERROR_COMMENT, Element.MOVE_DESTINATION)


@given(
    st.sampled_from(CommandField),
    st.dictionaries(st.sampled_from(NUMBERS), shorts),
    st.dictionaries(st.sampled_from(TEXTS), texts),
    st.booleans(),
)
def test_a_command_set(field: CommandField, counted: Any, told: Any, has_data_set: bool) -> None:
    sent = CommandSet.of(field, {**counted, **told}, has_data_set=has_data_set)
    encoded = sent.encode()
    got = CommandSet.decode(encoded)
    assert len(encoded) % 2 == 0
    assert int.from_bytes(encoded[8:12], "little") == len(encoded) - 12
    assert (got.field, got.has_data_set) == (field, has_data_set)
    assert {element: got.number(element) for element in counted} == counted
    assert {element: got.text(element) for element in told} == told
    assert got.encode() == encoded


@given(
    st.lists(st.binary(max_size=3000).map(lambda data: data * 2), min_size=1, max_size=4),
    st.sampled_from([0, 8, 9, 16, 100, 1024, 131072]),
    st.lists(st.integers(1, 5000), min_size=1, max_size=20),
)
def test_messages_in_any_fragments_and_any_chunks(
    data_sets: list[bytes], maximum_length: int, sizes: list[int]
) -> None:
    sender = Association()
    sender.request(request())
    feed(sender, acceptance(request()).encode())
    assert isinstance(sender.next_event(), AssociationAccepted)
    sender._peer_maximum_length = maximum_length
    pdus = [
        pdu for number, data_set in enumerate(data_sets) for pdu in sender.message(3, store_request(number), data_set)
    ]
    longest = maximum_length or 131072
    assert all(len(pdu) - 6 <= longest for pdu in pdus)
    assert all(len(pdu) % 2 == 0 for pdu in pdus)
    stream = b"".join(pdus) + sender.release_request()
    chunks, at, number = [], 0, 0
    while at < len(stream):
        size = sizes[number % len(sizes)]
        chunks.append(stream[at : at + size])
        at, number = at + size, number + 1
    expected: list[object] = []
    for number, data_set in enumerate(data_sets):
        expected.append(CommandReceived(3, CommandSet.decode(store_request(number).encode())))
        expected += [data_set, DataReceived([], True)]
    assert read(established(), chunks) == [*expected, ReleaseRequested()]


def test_a_release_is_agreed_to() -> None:
    sender, receiver = established(), established()
    feed(receiver, sender.release_request())
    assert receiver.next_event() == ReleaseRequested()
    feed(sender, receiver.release_response())
    assert sender.next_event() == ReleaseAgreed()
    assert (sender.state, receiver.state) == (State.CLOSED, State.CLOSED)


@pytest.mark.parametrize("pieces", [1, 3, 10])
def test_after_the_end_nothing_but_an_abort_is_heard(pieces: int) -> None:
    ended = established()
    ended.release_response()
    feed(ended, established().release_request() + b"\7 is no abort")
    assert ended.next_event() is None
    abort = AAbort(2, 6).encode()
    for at in range(0, len(abort), pieces):
        assert ended.next_event() is None
        feed(ended, abort[at : at + pieces])
    assert ended.next_event() == Aborted(AAbort(2, 6))
    assert ended.next_event() is None


def test_both_may_ask_for_the_release_at_once() -> None:
    one, other = established(), established()
    feed(other, one.release_request())
    feed(one, other.release_request())
    assert one.next_event() == ReleaseRequested()
    assert other.next_event() == ReleaseRequested()
    feed(other, one.release_response())
    feed(one, other.release_response())
    assert (one.next_event(), other.next_event()) == (ReleaseAgreed(), ReleaseAgreed())
