"""Does the header tell what intake needs, and does it tell a repeat from a reused control id?"""

from __future__ import annotations

import pytest

from engine.codecs.er7_header import Header, peek
from engine.errors import ParseError

MESSAGE = (
    "MSH|^~\\&|HIS^1.2^ISO|BAISHI^3.4^ISO|HUB|QINGXI^x|20260401083000+0800||ADT^A24^ADT_A24|M1|P^T|2.5.1^CHN|7||AL|NE|CHN|"
    "GB 18030-2000\r"
    'PID|1|EXT|P7^^^BS^MR~P8^^^BS^MR~""~~P7^^^BS^PI||张^伟\r'
    "PV1|1|O\r"
    "PID|2||P9\r"
    "MRG|OLD1^^^BS~OLD2\r"
)


def header(message: str = MESSAGE, channel: str = "baishi-his") -> Header:
    return peek(message.encode("gb18030"), None, channel)


def test_the_header_is_read() -> None:
    read = header()
    assert read.sending_application == "HIS"
    assert read.sending_facility == "BAISHI"
    assert read.receiving_application == "HUB"
    assert read.receiving_facility == "QINGXI"
    assert read.message_type == "ADT^A24"
    assert read.structure == "ADT_A24"
    assert read.control_id == "M1"
    assert read.processing_id == "P^T"
    assert read.version == "2.5.1"
    assert read.charset == "GB 18030-2000"
    assert (read.accept_ack, read.application_ack) == ("AL", "NE")
    assert read.field(3) == "HIS^1.2^ISO"
    assert read.field(99) == ""


def test_every_identifier_of_every_patient_is_a_lane() -> None:
    assert header().patient_ids == ("P7", "P8", "P9", "OLD1", "OLD2")


@pytest.mark.parametrize(
    ("merged", "lanes"),
    [
        ("MRG||OLD1~OLD2", ("P7", "OLD1", "OLD2")),
        ("MRG||||OLD4^^^BS", ("P7", "OLD4")),
        ('MRG|""|OLD2|ACC3|OLD4', ("P7", "OLD2", "OLD4")),
        ("MRG|||ACC3", ("P7",)),
        ("MRG||" + "^" * 5, ("P7",)),
    ],
)
def test_a_patient_who_is_merged_by_an_older_field_has_a_lane_too(merged: str, lanes: tuple[str, ...]) -> None:
    message = f"MSH|^~\\&|HIS|BS|H|Q|20260401||ADT^A40|M1|P|2.3\rPID|1||P7^^^BS^MR||张^伟\r{merged}\r"
    assert header(message).patient_ids == lanes


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_line_ends_do_not_matter(end: str) -> None:
    read = header(MESSAGE.replace("\r", end))
    assert read.patient_ids == ("P7", "P8", "P9", "OLD1", "OLD2")
    assert read.charset == "GB 18030-2000"
    assert read.control_key == header().control_key


def test_a_message_may_have_only_a_header() -> None:
    read = header("MSH|^~\\&|HIS")
    assert read.control_id == ""
    assert read.message_type == ""
    assert read.patient_ids == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [("20260401083000+0800", "20260402"), ("|7||AL", "|8||AL"), ("|7||AL", "|||AL"), ("20260401083000+0800", "")],
    ids=["another time", "another sequence number", "no sequence number", "no time"],
)
def test_a_repeat_differs_at_most_in_time_and_sequence_number(old: str, new: str) -> None:
    again = header(MESSAGE.replace(old, new))
    assert again.content_key == header().content_key
    assert again.control_key == header().control_key


@pytest.mark.parametrize("old", ["HIS", "BAISHI", "HUB", "A24^", "M1", "P^T", "张", "EXT", "OLD2", "|AL|", "PV1|1"])
def test_other_content_has_another_content_key(old: str) -> None:
    assert header(MESSAGE.replace(old, old[0] + "x" + old[1:], 1)).content_key != header().content_key


def test_a_separator_moved_is_other_content() -> None:
    one = header("MSH|^~\\&|A|B|C|D|1||ADT|M|P|2.5|1|x\r")
    other = header("MSH|^~\\&|A|B|C|D|1||ADT|M|P|2.5||1|x\r")
    assert one.content_key != other.content_key


@pytest.mark.parametrize("old", ["HIS", "BAISHI", "M1"])
def test_the_control_key_is_who_and_which(old: str) -> None:
    assert header(MESSAGE.replace(old, old + "x", 1)).control_key != header().control_key


def test_channels_do_not_share_control_ids() -> None:
    assert header(channel="qingxi-his").control_key != header().control_key
    assert header(channel="qingxi-his").content_key == header().content_key


def test_keys_are_sixteen_bytes() -> None:
    assert len(header().control_key) == len(header().content_key) == 16


def test_bytes_that_fit_no_charset_do_not_stop_the_header() -> None:
    payload = MESSAGE.encode("gb18030").replace(b"HIS", b"\xff\xfe\x80") + b"PID|3||P\xff10\r"
    read = peek(payload, "gb18030", "c")
    assert read.control_id == "M1"
    assert read.patient_ids[:2] == ("P7", "P8")


def test_a_flood_of_patients_is_refused() -> None:
    with pytest.raises(ParseError) as refusal:
        header(MESSAGE + "PID|1||x\r" * 1_000_000)
    assert refusal.value.code == "too-many-patients"


@pytest.mark.parametrize("payload", [b"MSH", b"MSH\r", b"MSH\n", b"MSH\rPID|1\r", b"\xef\xbb\xbfMSH\r\n", b" MSH"])
def test_a_header_without_a_separator_is_no_header(payload: bytes) -> None:
    with pytest.raises(ParseError) as refused:
        peek(payload, None, "c")
    assert refused.value.code == "msh-missing"
