"""Does parsing keep every field, its text and its place in the bytes?"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codecs import er7, er7_header
from engine.errors import ParseError
from engine.finding import Severity

MSH = "MSH|^~\\&|HIS|BAISHI|HUB|QINGXI|20260401083000+0800||ADT^A04^ADT_A01|M1|P|2.5|||||CHN|UNICODE UTF-8"
REAL = sorted((Path(__file__).parents[2] / "fixtures" / "hl7v2").glob("*.hl7"))


def parsed(*segments: str, end: str = "\r", charset: str = "utf-8") -> er7.Message:
    return er7.parse("".join(segment + end for segment in (MSH, *segments)).encode(charset))


def test_fields_have_the_numbers_that_hl7_gives_them() -> None:
    message = parsed("PID|1||P7^^^BS^MR~110101199003078515^^^GA^NNCHN||张^伟")
    msh, pid = message.segments
    assert (msh.field(1), msh.field(2), msh.field(3), msh.field(9)) == ("|", "^~\\&", "HIS", "ADT^A04^ADT_A01")
    assert (msh.value(1), msh.value(2), msh.value(10)) == ("|", "^~\\&", "M1")
    assert msh.repetitions(2) == ["^~\\&"]
    assert message.message_type == "ADT^A04"
    assert message.control_id == "M1"
    assert pid.field(3) == "P7^^^BS^MR~110101199003078515^^^GA^NNCHN"
    assert pid.repetitions(3) == ["P7^^^BS^MR", "110101199003078515^^^GA^NNCHN"]
    assert pid.components(pid.repetitions(3)[1]) == ["110101199003078515", "", "", "GA", "NNCHN"]
    assert (pid.value(3, comp=4), pid.value(3, rep=1), pid.value(3, rep=1, comp=5)) == (
        "BS",
        "110101199003078515",
        "NNCHN",
    )


def test_what_is_not_there_is_empty() -> None:
    pid = parsed("PID|1||P7^A&B").segments[1]
    assert pid.field(99) == ""
    assert pid.repetitions(99) == []
    assert pid.repetitions(2) == []
    assert pid.value(99) == ""
    assert pid.value(3, rep=1) == ""
    assert pid.value(3, comp=3) == ""
    assert pid.value(3, comp=2, sub=3) == ""
    assert pid.value(3, comp=1, sub=2) == ""
    assert pid.value(3, comp=2, sub=2) == "B"
    assert pid.value(3, comp=2) == "A"


def test_null_is_told_from_empty() -> None:
    pid = parsed('PID|1||P7||""||""^X').segments[1]
    assert pid.value(5) == er7.NULL
    assert pid.value(6) == ""
    assert pid.value(7) == er7.NULL


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"], ids=["CR", "LF", "CRLF"])
def test_segments_end_with_any_line_end(end: str) -> None:
    message = parsed("PID|1||P7", "", "PV1|1|O", end=end)
    assert [segment.name for segment in message.segments] == ["MSH", "PID", "PV1"]
    assert message.segments[1].field(3) == "P7"
    assert message.findings == []


def test_a_line_feed_inside_a_text_does_not_end_its_segment() -> None:
    message = parsed("OBX|1|TX|59776-5||两肺纹理清晰\n心影不大\nCT 未见异常||||||F", "OBX|2|TX|X||b")
    assert message.segments[1].value(5) == "两肺纹理清晰\n心影不大\nCT 未见异常"
    assert message.segments[1].value(11) == "F"
    assert message.segments[2].value(5) == "b"
    lines = parsed("OBX|1|TX|59776-5||一\n二||||||F", "OBX|2|TX|X||b", end="\n")
    assert lines.segments[1].value(5) == "一\n二"
    assert lines.segments[2].value(1) == "2"


SEPARATORS = {
    "usual": ("|", "^~\\&"),
    "with the truncation character of v2.7": ("|", "^~\\&#"),
    "other ones": ("$", "*!?%"),
    "no subcomponent": ("|", "^~\\"),
    "no escape": ("|", "^~"),
    "component only": ("|", "^"),
    "none said": ("|", ""),
}


@pytest.mark.parametrize(("field", "encoding"), SEPARATORS.values(), ids=SEPARATORS)
def test_separators_are_those_of_the_message(field: str, encoding: str) -> None:
    given_ = encoding or "^~\\&"
    component, repetition = given_[0], given_[1:2]
    lines = [
        field.join(("MSH", encoding, "HIS", "BS", "HUB", "QX", "2026", "", f"ADT{component}A04", "M1", "P", "2.5")),
        field.join(("PID", "1", "", f"P7{component}{component}{component}BS{repetition}P8", "", f"张{component}伟")),
    ]
    message = er7.parse("".join(line + "\r" for line in lines).encode())
    assert message.message_type == "ADT^A04"
    assert message.header.field(2) == encoding
    assert message.segments[1].value(5, comp=2) == "伟"
    assert message.segments[1].value(3, comp=4) == "BS" + ("" if repetition else "P8")
    if repetition:
        assert message.segments[1].value(3, rep=1) == "P8"


@pytest.mark.parametrize(
    "payload",
    [b"MSHA^~\\&A", b"MSH|^~^&|A|B\r", b"MSH 12\r", b"MSH|^~\\&#@|A\r"],
    ids=["a letter", "one twice", "a blank", "too many"],
)
def test_separators_that_could_be_data_are_refused(payload: bytes) -> None:
    with pytest.raises(ParseError) as refusal:
        er7.parse(payload)
    assert refusal.value.code == "separators-unusable"


@pytest.mark.parametrize(
    "payload", [b"", b"MSH", b"PID|1\r", b"FHS|^~\\&|A\rMSH|^~\\&|B\r", bytes(range(256)), b"<xml/>"]
)
def test_what_does_not_begin_with_msh_is_no_message(payload: bytes) -> None:
    for read in (er7.parse, lambda p: er7_header.peek(p, None, "c")):
        with pytest.raises(ParseError) as refusal:
            read(payload)
        assert refusal.value.code == "msh-missing"


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\r\n", b" \t\n", b"\0", b"\xef\xbb\xbf\n"])
def test_what_stands_before_msh_is_passed_over(before: bytes) -> None:
    payload = before + (MSH + "\rPID|1||P7||张^伟\r").encode()
    message = er7.parse(payload)
    assert [segment.name for segment in message.segments] == ["MSH", "PID"]
    start, end = message.byte_range(1, 5, 0, 2)
    assert payload[start:end].decode() == "伟"
    assert er7_header.peek(payload, None, "c").patient_ids == ("P7",)


ESCAPES = {
    "separators": (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
    "hexadecimal": (r"\X48\\X49\\X4A4B\ ", "HIJK "),
    "hexadecimal of one character in two": (r"\XE5BC\\XA0\ ", "张 "),
    "hexadecimal NUL": (r"a\X00\b", "a\ufffdb"),
    "line breaks": (r"one\.br\two\.sp2\three\.sp\four", "one\ntwo\n\nthree\nfour"),
    "highlighting": (r"\H\high\N\ low", "high low"),
    "indents": (r"\.in+4\text\.ti-2\\.fi\end", "textend"),
    "another charset": (r"\C2842\kept\M242A\ ", r"\C2842\kept\M242A\ "),
    "unknown": (r"\Zxy\ ", r"\Zxy\ "),
    "a lone mark": (r"5\6", r"5\6"),
    "a path": (r"C:\temp\file", r"C:\temp\file"),
    "adjacent": (r"\F\\F\x\F\ ", "||x| "),
    "a truncation that this message has not": (r"\P\ ", r"\P\ "),
}


@pytest.mark.parametrize(("raw", "meant"), ESCAPES.values(), ids=ESCAPES)
def test_escapes_stand_for_what_the_standard_says(raw: str, meant: str) -> None:
    message = parsed(f"OBX|1|TX|X||{raw}|")
    assert message.segments[1].value(5) == meant
    assert message.segments[1].field(5) == raw


def test_hexadecimal_escapes_are_in_the_charset_of_the_message() -> None:
    payload = (MSH.replace("UNICODE UTF-8", "GB 18030-2000") + "\rPID|1||P7||\\XD5C5\\^伟\r").encode("gb18030")
    assert er7.parse(payload).segments[1].value(5) == "张"


def test_an_escape_that_switches_charsets_is_kept_with_a_finding() -> None:
    message = parsed(r"PID|1||P7||\C2842\X^Y", r"NTE|1||\M242A42\ ")
    assert [(finding.code, finding.location) for finding in message.findings] == [
        ("escape-kept", "PID-5"),
        ("escape-kept", "NTE-3"),
    ]


def test_two_messages_in_one_block_are_a_finding_that_holds() -> None:
    message = er7.parse((MSH + "\rPID|1||7\r" + MSH + "\rPID|1||8\r").encode())
    assert [(f.code, f.severity, f.location) for f in message.findings] == [
        ("several-messages", Severity.ERROR, "segment 3")
    ]


def test_a_segment_without_a_name_is_kept_with_a_finding() -> None:
    message = parsed("PID|1||7", "心影不大|x")
    assert [(f.code, f.location) for f in message.findings] == [("segment-unnamed", "segment 3")]
    assert message.segments[2].text == "心影不大|x"


def test_a_thousand_oddities_are_one_finding() -> None:
    message = parsed(*["|"] * 1000, *["NTE|1||\\C2842\\"] * 1000)
    assert [(f.code, f.location) for f in message.findings] == [
        ("segment-unnamed", "segment 2"),
        ("escape-kept", "NTE-3"),
    ]
    assert message.findings[0].text == "1000 of 2001 segments do not begin with a name"


def test_a_flood_of_segments_is_refused() -> None:
    with pytest.raises(ParseError) as refusal:
        er7.parse(MSH.encode() + b"\rA|" * 1_000_000)
    assert refusal.value.code == "too-many-segments"


def test_a_long_text_in_one_field_is_no_flood() -> None:
    payload = MSH.encode() + b"\rOBX|1|ED|PDF||^^^Base64^" + b"QUJD" * 1_000_000 + b"||||||F\r"
    assert er7.parse(payload).segments[1].value(11) == "F"


def test_nul_is_a_finding_and_does_not_shift_the_bytes() -> None:
    payload = (MSH + "\rPID|1||7||张\0三^伟\r").encode()
    message = er7.parse(payload)
    assert message.segments[1].value(5) == "张\ufffd三"
    assert [finding.code for finding in message.findings] == ["nul-character"]
    start, end = message.byte_range(1, 5, 0, 2)
    assert payload[start:end].decode() == "伟"
    assert "\0" not in message.text


CHARSETS = [("utf-8", "UNICODE UTF-8"), ("gb18030", "GB 18030-2000"), ("utf-8", ""), ("gb18030", "")]


@pytest.mark.parametrize(("charset", "label"), CHARSETS, ids=[f"{c} as {label or 'nothing'}" for c, label in CHARSETS])
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"], ids=["CR", "LF", "CRLF"])
def test_every_value_is_found_again_in_the_bytes(charset: str, label: str, end: str) -> None:
    segments = [
        MSH.replace("UNICODE UTF-8", label).replace("BAISHI", "白石"),
        "PID|1||P7^^^白石&1.2&ISO^MR~亅7||欧阳^小𠮷||19900307|M",
        "OBX|1|TX|59776-5^检查所见||两肺|清晰",
    ]
    payload = "".join(segment + end for segment in segments).encode(charset)
    message = er7.parse(payload)
    for position, segment in enumerate(message.segments):
        for number in range(1, len(segment.fields)):
            start, stop = message.byte_range(position, number)
            assert payload[start:stop].decode(charset) == segment.field(number)
            for rep, repetition in enumerate(segment.repetitions(number)):
                start, stop = message.byte_range(position, number, rep)
                assert payload[start:stop].decode(charset) == repetition
                if segment.name == "MSH" and number <= 2:
                    continue
                for comp, component in enumerate(segment.components(repetition), start=1):
                    start, stop = message.byte_range(position, number, rep, comp)
                    assert payload[start:stop].decode(charset) == component
                    for sub, leaf in enumerate(segment.subcomponents(component), start=1):
                        start, stop = message.byte_range(position, number, rep, comp, sub)
                        assert payload[start:stop].decode(charset) == leaf
    start, stop = message.byte_range(1, 30)
    assert start == stop


def test_places_stay_near_where_bytes_cannot_be_decoded() -> None:
    payload = MSH.encode() + b"\rPID|1||7||\xe5\xbc\xa0\xe5\xff\xe6\x99\xba\xe5\xae\x8f\xe5\xbc\xa0^W\r"
    message = er7.parse(payload)
    assert [finding.code for finding in message.findings] == ["charset-doubtful"]
    start, end = message.byte_range(1, 5, 0, 2)
    assert payload[start:end] == b"W"
    start, end = message.byte_range(1, 5, 0, 1)
    assert payload[start:end] == b"\xe5\xbc\xa0\xe5\xff\xe6\x99\xba\xe5\xae\x8f\xe5\xbc\xa0"


@pytest.mark.parametrize("path", REAL, ids=[path.stem for path in REAL])
def test_real_messages_parse(path: Path) -> None:
    payload = path.read_bytes()
    message = er7.parse(payload)
    header = er7_header.peek(payload, None, "c")
    lines = [line for line in payload.decode("utf-8-sig").split("\n") if line.strip()]
    assert [segment.text for segment in message.segments] == lines
    assert message.findings == []
    assert header.message_type == message.message_type
    assert header.control_id == message.control_id
    for name, number in (("PID", 3), ("MRG", 1)):
        for segment in message.named(name):
            for rep in range(len(segment.repetitions(number))):
                value = segment.value(number, rep=rep)
                assert not value or value in header.patient_ids
    assert er7.parse(payload.replace(b"\n", b"\r")).segments[-1].fields == message.segments[-1].fields


def test_the_real_messages_are_there() -> None:
    assert len(REAL) == 74


leaves = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0\ufeff"), max_size=12)
components = st.one_of(leaves, st.tuples(leaves, leaves))


@given(st.lists(st.tuples(components, components), min_size=1, max_size=3), st.sampled_from(["utf-8", "gb18030"]))
def test_what_is_written_is_read_again(repetitions: list[tuple[er7.Component, ...]], charset: str) -> None:
    writer = er7.Er7Writer(charset)
    writer.add("MSH", {3: "HUB", 9: ("ADT", "A04"), 10: "1"})
    writer.add("ZZZ", {1: "x", 4: list(repetitions), 6: "y"})
    message = er7.parse(writer.encode())
    assert [segment.name for segment in message.segments] == ["MSH", "ZZZ"]
    segment = message.segments[1]
    for rep, repetition in enumerate(repetitions):
        for comp, component in enumerate(repetition, start=1):
            for sub, leaf in enumerate((component,) if isinstance(component, str) else component, start=1):
                assert segment.value(4, rep=rep, comp=comp, sub=sub) == leaf
    assert segment.value(6) == "y"


def test_a_message_is_written_as_short_as_it_may_be() -> None:
    writer = er7.Er7Writer("gb18030")
    writer.add("MSH", {3: "HUTONG", 4: "青溪", 9: ("ORU", "R01", "ORU_R01"), 10: "R1", 11: "P", 12: "2.4"})
    writer.add("PID", {3: [("P7", "", "", ("BS", "1.2"), ""), ""], 5: ("张", ""), 8: ""})
    writer.add("NTE", {1: "1", 3: er7.Raw("a\\.br\\b"), 4: "x\r\ny"})
    assert writer.encode().decode("gb18030") == (
        "MSH|^~\\&|HUTONG|青溪|||||ORU^R01^ORU_R01|R1|P|2.4||||||GB 18030-2000\r"
        "PID|||P7^^^BS&1.2||张\r"
        "NTE|1||a\\.br\\b|x\\.br\\y\r"
    )
