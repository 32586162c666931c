"""How does a message travel? As fragments in P-DATA-TF PDUs that are no longer than the peer takes (PS3.8 annex E)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pacs_gateway.upper_layer.commands import CommandSet
from pacs_gateway.upper_layer.pdus import PduType

COMMAND = 0x01
LAST = 0x02
"""Bits of the message control header."""

PDV_HEADER_BYTES = 6
"""Item length, presentation context id and message control header; the length counts the last two."""

LARGEST_SENT = 128 * 1024
"""A longer PDU gains nothing, whatever the peer would take."""

_HEADER = struct.Struct(">BxIIBB")


def message(context_id: int, command: CommandSet, data_set: bytes, maximum_length: int) -> Iterator[bytes]:
    """The PDUs of a message, one fragment in each; its data set is sent when the command says there is one.

    maximum_length  what the peer said, 0 for no limit
    """
    yield from command_set(context_id, command, maximum_length)
    if command.has_data_set:
        yield from data(context_id, data_set, maximum_length, last=True)


def command_set(context_id: int, command: CommandSet, maximum_length: int) -> Iterator[bytes]:
    """The PDUs of a command set alone: its data set, if it has one, follows through `data`."""
    return _pdus(context_id, COMMAND, memoryview(command.encode()), maximum_length, last=True)


def data(context_id: int, piece: bytes, maximum_length: int, *, last: bool) -> Iterator[bytes]:
    """The PDUs of some of a data set; every piece but the last has an even number of bytes."""
    return _pdus(context_id, 0, memoryview(piece), maximum_length, last=last)


def _pdus(context_id: int, kind: int, whole: memoryview, maximum_length: int, *, last: bool) -> Iterator[bytes]:
    room = min(maximum_length or LARGEST_SENT, LARGEST_SENT) - PDV_HEADER_BYTES
    room -= room % 2  # every fragment has an even number of bytes (PS3.8 E.1)
    for at in range(0, len(whole) or 1, room):
        fragment = whole[at : at + room]
        control = kind | LAST if last and at + room >= len(whole) else kind
        size = len(fragment)
        yield _HEADER.pack(PduType.P_DATA_TF, size + PDV_HEADER_BYTES, size + 2, context_id, control) + fragment
