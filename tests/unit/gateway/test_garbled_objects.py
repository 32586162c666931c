"""An object that holds what its VR cannot is told of without that, and never in the way of another."""

from __future__ import annotations

import struct

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from engine.store.imaging_query import Content, Found, Key, Level
from pacs_gateway.query.answers import answer_of, known_of, writable
from pacs_gateway.query.identifier import UNREADABLE, decoded, encoded
from pacs_gateway.query.matching import satisfies
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

ROWS, COLUMNS, PROTOCOL, STEPS, CODES = 0x00280010, 0x00280011, 0x00181030, 0x00400275, 0x00081032
THREE = b"\x01\x02\x03"


def element(tag: int, value: bytes) -> bytes:
    """In implicit VR."""
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def sequence(tag: int, *items: bytes) -> bytes:
    return element(tag, b"".join(element(0xFFFEE000, item) for item in items))


OBJECT = b"".join(
    (
        element(PROTOCOL, b"CHEST PA"),
        element(ROWS, THREE),
        element(COLUMNS, b"\x10\x00"),
        sequence(STEPS, element(0x00400009, b"S1") + element(ROWS, THREE), b"\xff\xff"),
        sequence(CODES, b"\x08\x00\x00"),
    )
)


def known() -> Dataset:
    head = decoded(OBJECT, IMPLICIT_VR_LITTLE_ENDIAN)
    content = Content("1.2.3.4", "1.2.840.10008.5.1.4.1.1.2", IMPLICIT_VR_LITTLE_ENDIAN, "a", "{}", len(OBJECT))
    key = Key("baishi", "1.2", "1.2.3", "1.2.3.4")
    return known_of(Found(Level.IMAGE, key, ("{}", "{}", "{}"), content), Level.IMAGE, head)


def asked(*items: Dataset) -> Dataset:
    keys = Dataset()
    keys.Rows = keys.Columns = None
    keys.ProtocolName = ""
    keys.RequestAttributesSequence = Sequence(items)
    return keys


def item(**keys: str | None) -> Dataset:
    one = Dataset()
    for keyword, value in keys.items():
        setattr(one, keyword, value)
    return one


@pytest.mark.parametrize("inside", [[], [item(ScheduledProcedureStepID="", Rows=None)]], ids=["all", "asked"])
@pytest.mark.parametrize("syntax", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN])
def test_what_cannot_be_read_is_empty_and_everything_else_is_told(inside: list[Dataset], syntax: str) -> None:
    answer = answer_of(asked(*inside), known(), Level.IMAGE, "HUTONG")
    told = decoded(encoded(writable(answer, syntax), syntax), syntax)
    assert (told.ProtocolName, told.Rows, told.Columns, told.SOPInstanceUID) == ("CHEST PA", None, 16, "1.2.3.4")
    assert "RequestAttributesSequence" in told


def test_a_value_beside_a_garbled_one_is_told_where_it_is_asked_for() -> None:
    head = sequence(STEPS, element(0x00400009, b"S1") + element(ROWS, THREE))
    one = decoded(head, IMPLICIT_VR_LITTLE_ENDIAN)
    told = answer_of(asked(item(ScheduledProcedureStepID="", Rows=None)), one, Level.IMAGE, "HUTONG")
    (step,) = told.RequestAttributesSequence
    assert (step.ScheduledProcedureStepID, step.Rows) == ("S1", None)
    encoded(told, IMPLICIT_VR_LITTLE_ENDIAN)


def test_garbled_values_match_nothing_but_universal_keys() -> None:
    deep = Dataset()
    deep.ProcedureCodeSequence = Sequence([item(CodeValue="A")])
    wide = Dataset()
    wide.Rows = 16
    narrow = Dataset()
    narrow.RequestAttributesSequence = Sequence([item(RequestedProcedureID="R1")])
    right = Dataset()
    right.RequestAttributesSequence = Sequence([item(ScheduledProcedureStepID="S1")])
    assert [satisfies(known(), keys) for keys in (deep, wide, narrow, right, Dataset())] == [
        False, False, False, True, True,
    ]  # fmt: skip


def test_an_answer_that_can_be_written_is_left_as_it_is() -> None:
    answer = asked()
    answer.SpecificCharacterSet = "ISO_IR 192"
    answer.PatientName = "张^伟"
    assert writable(answer, IMPLICIT_VR_LITTLE_ENDIAN) == answer
    answer.Columns = "wide"
    with pytest.raises(UNREADABLE):
        encoded(answer, IMPLICIT_VR_LITTLE_ENDIAN)
    told = decoded(encoded(writable(answer, IMPLICIT_VR_LITTLE_ENDIAN), IMPLICIT_VR_LITTLE_ENDIAN),
                   IMPLICIT_VR_LITTLE_ENDIAN)  # fmt: skip
    assert (str(told.PatientName), told.Columns) == ("张^伟", None)
