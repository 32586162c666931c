"""What is asked or answered? Command sets: group 0000, implicit VR little endian (PS3.7 §6.3 and annex E)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from pacs_gateway.upper_layer.errors import UpperLayerError

NO_DATA_SET = 0x0101
"""Command Data Set Type of a message without a data set; any other value says that one follows."""
A_DATA_SET = 0x0001

_ELEMENT = struct.Struct("<HHI")
_SHORT = struct.Struct("<H")
_LONG = struct.Struct("<I")


class CommandField(IntEnum):
    """Which operation; a response has the highest bit set."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RQ = 0x0110
    N_GET_RSP = 0x8110
    N_SET_RQ = 0x0120
    N_SET_RSP = 0x8120
    N_ACTION_RQ = 0x0130
    N_ACTION_RSP = 0x8130
    N_CREATE_RQ = 0x0140
    N_CREATE_RSP = 0x8140
    N_DELETE_RQ = 0x0150
    N_DELETE_RSP = 0x8150
    C_CANCEL_RQ = 0x0FFF


class Element(IntEnum):
    """The command elements in use, by their number within group 0000."""

    COMMAND_GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS_UID = 0x0002
    REQUESTED_SOP_CLASS_UID = 0x0003
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
    MOVE_DESTINATION = 0x0600
    PRIORITY = 0x0700
    COMMAND_DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    OFFENDING_ELEMENT = 0x0901
    ERROR_COMMENT = 0x0902
    ERROR_ID = 0x0903
    AFFECTED_SOP_INSTANCE_UID = 0x1000
    REQUESTED_SOP_INSTANCE_UID = 0x1001
    EVENT_TYPE_ID = 0x1002
    ATTRIBUTE_IDENTIFIER_LIST = 0x1005
    ACTION_TYPE_ID = 0x1008
    NUMBER_OF_REMAINING_SUB_OPERATIONS = 0x1020
    NUMBER_OF_COMPLETED_SUB_OPERATIONS = 0x1021
    NUMBER_OF_FAILED_SUB_OPERATIONS = 0x1022
    NUMBER_OF_WARNING_SUB_OPERATIONS = 0x1023
    MOVE_ORIGINATOR_AE_TITLE = 0x1030
    MOVE_ORIGINATOR_MESSAGE_ID = 0x1031


_UIDS = frozenset(
    {
        Element.AFFECTED_SOP_CLASS_UID,
        Element.REQUESTED_SOP_CLASS_UID,
        Element.AFFECTED_SOP_INSTANCE_UID,
        Element.REQUESTED_SOP_INSTANCE_UID,
    }
)
_TEXTS = frozenset({Element.MOVE_DESTINATION, Element.ERROR_COMMENT, Element.MOVE_ORIGINATOR_AE_TITLE})
_TAGS = frozenset({Element.OFFENDING_ELEMENT, Element.ATTRIBUTE_IDENTIFIER_LIST})
_NUMBERS = frozenset(Element) - _UIDS - _TEXTS - _TAGS - {Element.COMMAND_GROUP_LENGTH}


@dataclass(frozen=True, slots=True)
class CommandSet:
    """Values by element number, encoded and padded; elements that are not named here are kept but not read."""

    elements: Mapping[int, bytes]

    @classmethod
    def of(
        cls, field: int, values: Mapping[Element, int | str] | None = None, *, has_data_set: bool = False
    ) -> CommandSet:
        """A command set from numbers and texts."""
        elements = {int(element): _encoded(element, value) for element, value in (values or {}).items()}
        elements[Element.COMMAND_FIELD] = _SHORT.pack(field)
        elements[Element.COMMAND_DATA_SET_TYPE] = _SHORT.pack(A_DATA_SET if has_data_set else NO_DATA_SET)
        return cls(elements)

    @property
    def field(self) -> int:
        return self.number(Element.COMMAND_FIELD)

    @property
    def is_request(self) -> bool:
        return not self.field & 0x8000

    @property
    def has_data_set(self) -> bool:
        return self.number(Element.COMMAND_DATA_SET_TYPE) != NO_DATA_SET

    def has(self, element: Element) -> bool:
        return element in self.elements

    def number(self, element: Element) -> int:
        """The value of a US element, 0 where it is absent."""
        value = self.elements.get(element)
        return int(_SHORT.unpack(value)[0]) if value is not None else 0

    def text(self, element: Element) -> str:
        """The value of a UI, AE or LO element without padding, empty where it is absent."""
        return self.elements.get(element, b"").decode("latin-1").strip(" \0")

    def encode(self) -> bytes:
        """With its group length, ordered by element."""
        body = b"".join(
            _ELEMENT.pack(0, number, len(value)) + value
            for number, value in sorted(self.elements.items())
            if number != Element.COMMAND_GROUP_LENGTH
        )
        return _ELEMENT.pack(0, Element.COMMAND_GROUP_LENGTH, 4) + _LONG.pack(len(body)) + body

    @classmethod
    def decode(cls, data: bytes) -> CommandSet:
        """Raises UpperLayerError for bytes that are no command set, or one that does not say what it commands.

        The group length is not believed: some devices get it wrong, and the last fragment says where the set ends.
        """
        elements: dict[int, bytes] = {}
        at, end = 0, len(data)
        while at < end:
            if end - at < _ELEMENT.size:
                raise UpperLayerError("a command set ends within an element")
            group, number, length = _ELEMENT.unpack_from(data, at)
            at += _ELEMENT.size
            if group != 0:
                raise UpperLayerError(f"a command set holds an element of group {group:04X}")
            if length > end - at:
                raise UpperLayerError(f"element (0000,{number:04X}) says {length} bytes where {end - at} are left")
            if number in elements:
                raise UpperLayerError(f"a command set holds element (0000,{number:04X}) twice")
            if number in _NUMBERS and length != _SHORT.size:
                raise UpperLayerError(f"element (0000,{number:04X}) is no number of 2 bytes")
            elements[number] = data[at : at + length]
            at += length
        for element in (Element.COMMAND_FIELD, Element.COMMAND_DATA_SET_TYPE):
            if element not in elements:
                raise UpperLayerError(f"a command set lacks (0000,{element:04X})")
        return cls(elements)


def _encoded(element: Element, value: int | str) -> bytes:
    if isinstance(value, int):
        if element not in _NUMBERS:
            raise ValueError(f"{element.name} is no number")
        return _SHORT.pack(value)
    if element in _NUMBERS:
        raise ValueError(f"{element.name} is a number")
    encoded = value.encode("latin-1", "replace")
    return encoded + (b"\0" if element in _UIDS else b" ") if len(encoded) % 2 else encoded
