"""Does a Chinese character survive whose second byte is a delimiter? Framing, peek, parse, write, for every one."""

from __future__ import annotations

import pytest

from engine.codecs import er7, er7_header, text
from engine.codecs.mllp import MllpDecoder, frame
from tests.unit.codecs.chinese_characters import SEPARATORS_AMONG_SECOND_BYTES, TABLE

BYTES = [pytest.param(second, id=f"0x{second:02X} {chr(second)}") for second in TABLE]
SEPARATORS = [pytest.param(second, id=f"0x{second:02X} {chr(second)}") for second in SEPARATORS_AMONG_SECOND_BYTES]


def message(name: str, charset: str, separators: str = "|^~\\&") -> bytes:
    """An admission whose patient, facility and identifier hold the character."""
    field, rest = separators[0], separators[1:]
    return (
        (
            f"MSH|^~\\&|HIS{name}|{name}卫生院|HUB|QX|20260401083000+0800||ADT^A04^ADT_A01|C{name}1|P|2.5|||||CHN|{charset}\r"
            f"EVN|A04|20260401083000\r"
            f"PID|1||{name}7^^^BS^MR~Z{name}^^^BS^PI||王{name}^{name}||19900307|M|||白石{name}^^青溪\r"
            f"MRG|OLD{name}^^^BS^MR\r"
        )
        .translate(str.maketrans("|^~\\&", field + rest))
        .encode("gb18030")
    )


@pytest.mark.parametrize("second", BYTES)
def test_every_character_survives_the_whole_way(second: int) -> None:
    for pair, character in TABLE[second]:
        payload = message(character, "GB 18030-2000")
        assert pair in payload
        decoder = MllpDecoder()
        decoder.receive_data(frame(payload))
        assert decoder.next_frame() == payload

        header = er7_header.peek(payload, None, "baishi-his")
        assert header.patient_ids == (f"{character}7", f"Z{character}", f"OLD{character}")
        assert header.sending_application == f"HIS{character}"
        assert header.sending_facility == f"{character}卫生院"
        assert header.control_id == f"C{character}1"
        assert header.message_type == "ADT^A04"

        parsed = er7.parse(payload)
        assert [segment.name for segment in parsed.segments] == ["MSH", "EVN", "PID", "MRG"]
        pid = parsed.segments[2]
        assert pid.value(5) == f"王{character}"
        assert pid.value(5, comp=2) == character
        assert pid.value(7) == "19900307"
        assert pid.value(11, comp=3) == "青溪"
        assert parsed.findings == []
        start, end = parsed.byte_range(2, 5, 0, 2)
        assert payload[start:end] == pair

        writer = er7.Er7Writer("gb18030")
        writer.add("MSH", {3: "HUB", 9: ("ADT", "A04"), 10: "1", 12: "2.5"})
        writer.add("PID", {3: [(f"{character}7", "", "", "BS", "MR"), character], 5: (f"王{character}", character)})
        again = er7.parse(writer.encode())
        assert again.segments[1].value(5, comp=2) == character
        assert again.segments[1].value(3) == f"{character}7"
        assert again.segments[1].value(3, rep=1) == character


@pytest.mark.parametrize("configured", ["gb18030", "GBK"])
@pytest.mark.parametrize("second", SEPARATORS)
def test_a_channel_setting_serves_where_the_message_says_nothing(second: int, configured: str) -> None:
    for _, character in TABLE[second]:
        payload = message(character, "")
        assert er7_header.peek(payload, configured, "c").patient_ids[0] == f"{character}7"
        assert er7.parse(payload, configured).segments[2].value(5, comp=2) == character


@pytest.mark.parametrize("label", ["GBK", "GB2312", "GB18030", "8859/1", "UNICODE UTF-8", "ASCII", "nonsense", ""])
@pytest.mark.parametrize("second", SEPARATORS)
def test_a_wrong_label_does_not_split_a_field(second: int, label: str) -> None:
    for _, character in TABLE[second]:
        parsed = er7.parse(message(character, label))
        assert parsed.charset == "gb18030"
        assert parsed.segments[2].value(5, comp=2) == character
        header = er7_header.peek(message(character, label), None, "c")
        assert header.control_id == f"C{character}1"


@pytest.mark.parametrize("second", SEPARATORS)
def test_an_odd_separator_is_no_less_safe(second: int) -> None:
    usual = "|^~\\&"
    odd = chr(second) if chr(second) not in usual else "|"
    separators = odd + "".join(c for c in "^~\\&#" if c != odd)[:4]
    for _, character in TABLE[second]:
        parsed = er7.parse(message(character, "GB 18030-2000", separators))
        assert parsed.separators.field == odd
        assert parsed.segments[2].value(5, comp=2) == character


def test_the_table_is_complete() -> None:
    assert sum(len(characters) for characters in TABLE.values()) == 7938
    assert {len(TABLE[ord(delimiter)]) for delimiter in "|^~\\"} == {126}


def test_rare_names_outside_gbk_are_read_and_written() -> None:
    for character in ("㼆", "𠮷", "䶮"):
        parsed = er7.parse(message(character, "GB 18030-2000"))
        assert parsed.segments[2].value(5, comp=2) == character
        assert text.encode(character, "gb18030").decode("gb18030") == character
