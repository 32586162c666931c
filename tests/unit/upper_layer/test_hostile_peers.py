"""Bytes that break the protocol are refused with the right reason, before anything is held for them."""

from __future__ import annotations

import struct
import tracemalloc

import pytest

from pacs_gateway.upper_layer import association as limits
from pacs_gateway.upper_layer.association import Association, State
from pacs_gateway.upper_layer.commands import CommandSet
from pacs_gateway.upper_layer.errors import AbortReason, UpperLayerError
from pacs_gateway.upper_layer.events import AssociationRequested, CommandReceived, DataReceived
from pacs_gateway.upper_layer.items import PresentationContextRQ, UserInformation, item
from pacs_gateway.upper_layer.pdus import AAbort, AAssociateRQ, AReleaseRP, AReleaseRQ
from tests.unit.upper_layer.speaking import (
    IMPLICIT,
    VERIFICATION,
    echo_request,
    established,
    feed,
    request,
    store_request,
)

COMMAND, LAST = 1, 2
UNRECOGNIZED, UNEXPECTED, INVALID = (
    AbortReason.UNRECOGNIZED_PDU,
    AbortReason.UNEXPECTED_PDU,
    AbortReason.INVALID_PDU_PARAMETER_VALUE,
)


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BxI", kind, len(body) if length is None else length) + body


def pdv(context_id: int, control: int, data: bytes, length: int | None = None) -> bytes:
    return struct.pack(">IBB", len(data) + 2 if length is None else length, context_id, control) + data


def p_data(*values: bytes) -> bytes:
    return pdu(4, b"".join(values))


def asking(*items: bytes, fixed: bytes = b"\0\1\0\0" + b"SCP".ljust(16) + b"SCU".ljust(16) + bytes(32)) -> bytes:
    return pdu(1, fixed + b"".join(items))


CONTEXT = PresentationContextRQ(1, VERIFICATION, (IMPLICIT,)).encode()
INFORMATION = UserInformation(16384, "1.2.3").encode()
NAME = item(0x10, b"1.2.840.10008.3.1.1.1")
STORE = store_request().encode()
ECHO = echo_request().encode()

FIRST = {
    "a data set": (p_data(pdv(1, COMMAND | LAST, ECHO)), UNEXPECTED, "P_DATA_TF comes in state Sta2"),
    "a release": (AReleaseRQ().encode(), UNEXPECTED, "A_RELEASE_RQ comes in state Sta2"),
    "an unknown PDU": (pdu(8, b""), UNRECOGNIZED, "PDU type 08H"),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", UNRECOGNIZED, "PDU type 47H"),
    "TLS": (bytes.fromhex("16030100c8010000c40303"), UNRECOGNIZED, "PDU type 16H"),
    "4 GB of request": (pdu(1, b"", 0xFFFFFFFF), INVALID, "says 4294967295 bytes"),
    "no fixed fields": (pdu(1, b"\0\1"), INVALID, "shorter than its fixed fields"),
    "an item cut off in its header": (asking(NAME, b"\x20"), INVALID, "ends within the header"),
    "an item longer than the PDU": (asking(NAME, b"\x20\0\xff\xff\1\0\0\0"), INVALID, "item 20H .* says 65535 bytes"),
    "no context": (asking(NAME, INFORMATION), INVALID, "no presentation context"),
    "no user information": (asking(NAME, CONTEXT), INVALID, "no user information"),
    "an even context": (asking(NAME, item(0x20, b"\2\0\0\0")), INVALID, "even number 2"),
    "a context without syntaxes": (asking(NAME, item(0x20, b"\1\0\0\0")), INVALID, "lacks its abstract or transfer"),
    "a context cut off": (asking(NAME, item(0x20, b"\1")), INVALID, "is cut off"),
    "a number used twice": (asking(NAME, CONTEXT, CONTEXT, INFORMATION), INVALID, "have the same number"),
    "an inner item that overruns": (
        asking(NAME, item(0x20, b"\1\0\0\0\x30\0\0\x40" + b"1.2")), INVALID, "item 30H .* says 64 bytes"),
    "a maximum length of 3 bytes": (
        asking(NAME, CONTEXT, item(0x50, item(0x51, b"\0\0\1"))), INVALID, "maximum length item is not 4"),
    "a maximum length of nothing": (
        asking(NAME, CONTEXT, item(0x50, item(0x51, b"\0\0\0\7"))), INVALID, "leaves no room"),
    "a role without its roles": (
        asking(NAME, CONTEXT, item(0x50, item(0x54, b"\0\x031.2"))), INVALID, "does not end with its two roles"),
    "a role whose UID overruns": (
        asking(NAME, CONTEXT, item(0x50, item(0x54, b"\xff\xff1.2"))), INVALID, "counts 65535 bytes"),
    "an identity cut off": (asking(NAME, CONTEXT, item(0x50, item(0x58, b"\1"))), INVALID, "cut off"),
    "an identity that overruns": (
        asking(NAME, CONTEXT, item(0x50, item(0x58, b"\1\0\0\x09abc"))), INVALID, "counts 9 bytes"),
    "a window of 3 bytes": (asking(NAME, CONTEXT, item(0x50, item(0x53, b"\0\1\0"))), INVALID, "window item is not 4"),
    "a related class that overruns": (
        asking(NAME, CONTEXT, item(0x50, item(0x57, b"\0\x011\0\x012\0\4\0\7ab"))), INVALID, "counts 7 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "reason", "said"), FIRST.values(), ids=FIRST)
def test_what_cannot_come_first(data: bytes, reason: AbortReason, said: str) -> None:
    association = Association()
    feed(association, data)
    with pytest.raises(UpperLayerError, match=said) as caught:
        association.next_event()
    assert caught.value.reason == reason
    assert association.abort(caught.value) == AAbort(0, 0).encode()  # no association yet: the service-user aborts
    assert association.state is State.CLOSED


def drain(association: Association) -> None:
    while association.next_event() is not None:
        pass


LATER = {
    "a second request": (request().encode(), UNEXPECTED, "A_ASSOCIATE_RQ comes in state Sta6"),
    "an acceptance": (pdu(2, b""), UNEXPECTED, "A_ASSOCIATE_AC comes in state Sta6"),
    "an answer to no release": (AReleaseRP().encode(), UNEXPECTED, "A_RELEASE_RP comes in state Sta6"),
    "an unknown PDU": (pdu(0, b""), UNRECOGNIZED, "PDU type 00H"),
    "4 GB of data": (pdu(4, b"", 0xFFFFFFFF), INVALID, "says 4294967295 bytes where 262144 were agreed"),
    "a byte more than agreed": (pdu(4, b"", limits.MAXIMUM_LENGTH + 1), INVALID, "were agreed"),
    "no fragment": (pdu(4, b""), INVALID, "holds no fragment"),
    "a release of 5 bytes": (pdu(5, bytes(5)), INVALID, "A_RELEASE_RQ says 5 bytes"),
    "an abort of 4 GB": (pdu(7, b"", 0xFFFFFFFF), INVALID, "A_ABORT says 4294967295 bytes"),
    "a fragment of 0 bytes": (p_data(pdv(1, COMMAND, b"", 0)), INVALID, "says 0 bytes"),
    "a fragment of 1 byte": (p_data(pdv(1, COMMAND, b"", 1)), INVALID, "says 1 bytes"),
    "a fragment longer than its PDU": (p_data(pdv(1, COMMAND, b"ab", 5)), INVALID, "says 5 bytes where"),
    "a fragment of 4 GB": (p_data(pdv(1, COMMAND, b"ab", 0xFFFFFFFF)), INVALID, "says 4294967295 bytes"),
    "a fragment without a header": (p_data(pdv(1, COMMAND, b"ab"), b"\0\0"), INVALID, "ends within the header"),
    "a data set without a command": (p_data(pdv(1, LAST, b"ab")), INVALID, "without its command"),
    "a context that was not proposed": (p_data(pdv(5, COMMAND | LAST, ECHO)), INVALID, "presentation context 5"),
    "an even context": (p_data(pdv(2, COMMAND | LAST, ECHO)), INVALID, "presentation context 2"),
    "a command where a data set is due": (
        p_data(pdv(3, COMMAND | LAST, STORE), pdv(3, COMMAND | LAST, STORE)), INVALID, "where a data set is due"),
    "a data set under another context": (
        p_data(pdv(3, COMMAND | LAST, STORE), pdv(1, LAST, b"ab")), INVALID, "within a message of 3"),
    "a command under two contexts": (
        p_data(pdv(3, COMMAND, STORE[:20]), pdv(1, COMMAND | LAST, STORE[20:])), INVALID, "within a message of 3"),
    "a data set within a command": (
        p_data(pdv(3, COMMAND, STORE[:20]), pdv(3, LAST, b"ab")), INVALID, "without its command"),
    "a command that is none": (p_data(pdv(1, COMMAND | LAST, b"rubbish")), INVALID, "ends within an element"),
    "an empty command": (p_data(pdv(1, COMMAND | LAST, b"")), INVALID, r"lacks \(0000,0100\)"),
    "a command of another group": (
        p_data(pdv(1, COMMAND | LAST, b"\x08\0\0\0\0\0\0\0")), INVALID, "element of group 0008"),
    "an element that overruns": (
        p_data(pdv(1, COMMAND | LAST, struct.pack("<HHI", 0, 2, 0xFFFFFFFF))), INVALID, "says 4294967295 bytes"),
    "an element twice": (
        p_data(pdv(1, COMMAND | LAST, struct.pack("<HHIHHI", 0, 2, 0, 0, 2, 0))), INVALID, "twice"),
    "a number of 4 bytes": (
        p_data(pdv(1, COMMAND | LAST, struct.pack("<HHII", 0, 0x100, 4, 1))), INVALID, "no number of 2 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "reason", "said"), LATER.values(), ids=LATER)
def test_what_cannot_come_later(data: bytes, reason: AbortReason, said: str) -> None:
    association = established()
    feed(association, data)
    with pytest.raises(UpperLayerError, match=said) as caught:
        drain(association)
    assert caught.value.reason == reason
    assert association.abort(caught.value) == AAbort(2, reason).encode()
    assert association.state is State.CLOSED


@pytest.mark.parametrize(("data", "reason", "said"), LATER.values(), ids=LATER)
def test_byte_by_byte_it_cannot_come_either(data: bytes, reason: AbortReason, said: str) -> None:
    association = established()

    def say() -> None:
        for at in range(len(data)):
            feed(association, data[at : at + 1])
            drain(association)

    with pytest.raises(UpperLayerError, match=said):
        say()


def test_fragments_without_bytes_are_taken() -> None:
    association = established()
    feed(association, p_data(pdv(3, COMMAND, b""), pdv(3, COMMAND | LAST, STORE), pdv(3, 0, b""), pdv(3, 0, b"ab")))
    feed(association, p_data(pdv(3, LAST, b"")))
    assert isinstance(association.next_event(), CommandReceived)
    data = association.next_event()
    assert isinstance(data, DataReceived)
    assert (b"".join(data.pieces), data.last) == (b"ab", True)
    assert association.next_event() is None
    assert not association.within_message


def test_a_command_without_end_is_refused_before_it_is_held() -> None:
    association = established()
    feed(association, p_data(pdv(1, COMMAND, bytes(limits.COMMAND_LIMIT))))
    assert association.next_event() is None
    feed(association, p_data(pdv(1, COMMAND, b"ab")))
    with pytest.raises(UpperLayerError, match="longer than 65536 bytes"):
        association.next_event()


def test_a_group_length_that_lies_is_not_believed() -> None:
    lying = struct.pack("<HHII", 0, 0, 4, 0xFFFFFFF0) + ECHO[12:]
    assert CommandSet.decode(lying).field == 0x0030


def test_128_contexts_are_taken() -> None:
    contexts = tuple(PresentationContextRQ(number, VERIFICATION, (IMPLICIT,) * 40) for number in range(1, 256, 2))
    association = Association()
    feed(association, AAssociateRQ("SCP", "SCU", contexts, UserInformation(0, "1.2")).encode())
    event = association.next_event()
    assert isinstance(event, AssociationRequested)
    assert event.request.presentation_contexts == contexts


def test_nothing_is_read_after_the_end() -> None:
    association = established()
    association.abort()
    feed(association, p_data(pdv(1, COMMAND | LAST, ECHO)) * 1000)
    assert association.next_event() is None


def test_items_of_unknown_types_are_skipped() -> None:
    association = Association()
    unknown = item(0x77, b"whatever")
    feed(association, asking(NAME, unknown, CONTEXT, item(0x50, unknown + item(0x51, b"\0\0\x40\0"))))
    event = association.next_event()
    assert isinstance(event, AssociationRequested)
    assert event.request.user_information.maximum_length == 16384


@pytest.mark.parametrize("size", [1, 1000])
def test_a_stream_of_tiny_fragments_is_handed_on_in_bounded_events(size: int) -> None:
    association = established()
    feed(association, p_data(pdv(3, COMMAND | LAST, STORE)))
    assert isinstance(association.next_event(), CommandReceived)
    tiny = p_data(*(pdv(3, 0, b"x" * size) for _ in range(100)))
    feed(association, tiny * (500_000 // len(tiny)))
    events = 0
    while (event := association.next_event()) is not None:
        assert isinstance(event, DataReceived)
        assert len(event.pieces) <= limits.PIECES_LIMIT
        events += 1
    assert events


def test_memory_does_not_grow_with_what_is_sent() -> None:
    association = established()
    feed(association, p_data(pdv(3, COMMAND | LAST, STORE)))
    assert isinstance(association.next_event(), CommandReceived)
    chunk = p_data(pdv(3, 0, bytes(limits.MAXIMUM_LENGTH - 6)))
    tracemalloc.start()
    try:
        for _ in range(200):
            feed(association, chunk)
            drain(association)
        assert tracemalloc.get_traced_memory()[1] < 8 * limits.MAXIMUM_LENGTH
    finally:
        tracemalloc.stop()
