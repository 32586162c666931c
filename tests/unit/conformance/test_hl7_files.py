"""Messages are found in files as people really have them."""

from __future__ import annotations

import pytest

from conformance.hl7_files import messages_in

ADT = "MSH|^~\\&|HIS|A|HUTONG|B|20260302||ADT^A04^ADT_A01|C1|P|2.4\rPID|||1||张三\r"
ORU = "MSH|^~\\&|LIS|A|HUTONG|B|20260302||ORU^R01|C2|P|2.4\rPID|||2||周珅\rOBX|1|NM|GLU||5.10\r"


@pytest.mark.parametrize("ending", ["\r", "\n", "\r\n"], ids=["CR", "LF", "CRLF"])
@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
def test_one_message_is_found_with_any_line_ending(ending: str, charset: str) -> None:
    (found,) = messages_in(ADT.replace("\r", ending).encode(charset))
    assert found.payload == ADT.encode(charset)
    assert (found.message_type, found.control_id) == ("ADT^A04", "C1")


@pytest.mark.parametrize("between", ["", "\r", "\r\r", "\r  \r"])
def test_several_messages_are_told_apart_by_their_headers(between: str) -> None:
    found = messages_in((ADT + between + ORU).encode("gb18030"))
    assert [each.payload for each in found] == [ADT.encode("gb18030"), ORU.encode("gb18030")]


def test_framed_messages_of_a_capture_are_unframed() -> None:
    captured = b"".join(b"\x0b" + text.encode() + b"\x1c\r" for text in (ADT, ORU))
    assert [each.control_id for each in messages_in(captured)] == ["C1", "C2"]
    assert messages_in(captured)[0].payload == ADT.encode()


def test_the_envelope_of_a_batch_file_belongs_to_no_message() -> None:
    batch = "FHS|^~\\&|A\rBHS|^~\\&|A\r" + ADT + ORU + "BTS|2\rFTS|1\r"
    assert [each.payload for each in messages_in(batch.encode())] == [ADT.encode(), ORU.encode()]


def test_a_byte_order_mark_is_the_editor_s() -> None:
    assert messages_in(ADT.encode("utf-8-sig"))[0].payload == ADT.encode()


def test_a_line_feed_within_a_field_of_a_proper_file_stays() -> None:
    awkward = ADT + "NTE|1||first\nMSH of a second line\r"
    assert [each.payload for each in messages_in(awkward.encode())] != []
    assert b"first\nMSH of" in b"".join(each.payload for each in messages_in(awkward.encode()))


def test_the_word_msh_within_a_field_begins_no_message() -> None:
    (found,) = messages_in((ADT + "NTE|1||see MSH|^~\\&\r").encode())
    assert found.control_id == "C1"


@pytest.mark.parametrize("content", [b"", b"\r\n", b"PID|1\r", b"\x00\x01\x02", "你好".encode()])
def test_what_holds_no_header_holds_no_message(content: bytes) -> None:
    assert messages_in(content) == []


@pytest.mark.parametrize("content", [b"MSH", b"MSH|", b"MSH|^~\\&|\r", b"MSH|^~\\&|\xff\xff\xff\r", b"MSH||||||||\r"])
def test_a_mutilated_header_is_still_sent(content: bytes) -> None:
    (found,) = messages_in(content)
    assert found.payload.startswith(b"MSH")


def test_other_separators_are_read_from_the_header() -> None:
    (found,) = messages_in(b"MSH$%~\\&$A$B$C$D$1$$ADT%A08$X9$P$2.5\r")
    assert (found.message_type, found.control_id) == ("ADT^A08", "X9")
