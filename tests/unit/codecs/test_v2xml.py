"""Does XML say the same as ER7, with every value's place in the bytes, and is hostile XML refused before it costs?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.codecs import acknowledgment, hl7v2, v2xml
from engine.errors import ParseError

MSH = (
    "<MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2><MSH.3><HD.1>HIS</HD.1></MSH.3><MSH.9><MSG.1>ADT</MSG.1>"
    "<MSG.2>A08</MSG.2></MSH.9><MSH.10>M1</MSH.10><MSH.12><VID.1>2.5</VID.1></MSH.12></MSH>"
)


def document(body: str, *, encoding: str = "UTF-8", codec: str = "utf-8") -> bytes:
    return (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<ADT_A01 xmlns="urn:hl7-org:v2xml">{MSH}{body}</ADT_A01>'.encode(
            codec
        )
    )


PID = (
    "<ADT_A01.GROUP><PID><PID.3><CX.1>P1</CX.1><CX.4><HD.1>BS</HD.1><HD.2>1.2</HD.2></CX.4></PID.3><PID.3><CX.1>P2</CX.1>"
    "</PID.3><PID.5><XPN.1><FN.1>张</FN.1></XPN.1><XPN.2>三 &amp; 四|^~</XPN.2></PID.5><PID.8>M</PID.8></PID>"
    "</ADT_A01.GROUP>"
)


def test_fields_have_their_names_and_data_never_splits_them() -> None:
    message = hl7v2.parse(document(PID))
    (pid,) = message.named("PID")
    assert [pid.value(3, rep=rep) for rep in (0, 1)] == ["P1", "P2"]
    assert (pid.value(3, comp=4), pid.value(3, comp=4, sub=2)) == ("BS", "1.2")
    assert (pid.value(5), pid.value(5, comp=2), pid.value(8)) == ("张", "三 & 四|^~", "M")
    assert (message.message_type, message.control_id, message.header.value(2)) == ("ADT^A08", "M1", "^~\\&")


@pytest.mark.parametrize(("encoding", "codec"), [("UTF-8", "utf-8"), ("GB18030", "gb18030"), ("UTF-16", "utf-16")])
def test_every_value_is_found_in_the_bytes(encoding: str, codec: str) -> None:
    payload = document(PID, encoding=encoding, codec=codec)
    message = hl7v2.parse(payload)
    wire = "utf-16-le" if codec == "utf-16" else codec

    def at(*place: int | None) -> str:
        start, end = message.byte_range(*place)  # type: ignore[arg-type]  # a row of numbers
        return payload[start:end].decode(wire)

    assert at(1, 5, 0, 1, 1) == "张"
    assert at(1, 5, 0, 1) == "<FN.1>张</FN.1>"
    assert at(1, 5, 0, 2) == "三 &amp; 四|^~"
    assert at(1, 3, 1, 1) == "P2"
    assert at(1, 8) == at(1, 8, 0, 1, 1) == "M"
    assert at(1, 3).startswith("<CX.1>P1")
    assert at(1, 3).endswith("P2</CX.1>")
    assert at(1, 30) == at(1, 5, 3) == at(1, 8, 0, 2) == ""
    assert at(0, 10) == "M1"


def test_the_keys_of_an_envelope_are_those_of_the_same_message_in_er7() -> None:
    of_xml = hl7v2.peek(document(PID), None, "c")
    of_er7 = hl7v2.peek(b"MSH|^~\\&|HIS||||||ADT^A08|M1||2.5\rPID|||P1~P2\r", None, "c")
    assert of_xml.control_key == of_er7.control_key
    assert of_xml.patient_ids == of_er7.patient_ids == ("P1", "P2")


def test_escapes_line_ends_and_blanks() -> None:
    said = '<NTE><NTE.3>one<escape V=".br"/>two\nthree\\x<escape V="H"/>!</NTE.3></NTE>'
    (nte,) = hl7v2.parse(document(said)).named("NTE")
    assert nte.value(3) == "one\ntwo\nthree\\x!"
    spread = "<PID>\n  <PID.5>\n    <XPN.1>\n      <FN.1>张</FN.1>\n    </XPN.1>\n  </PID.5>\n  <PID.8/>\n</PID>"
    assert hl7v2.parse(document(spread)).named("PID")[0].fields == ["PID", "", "", "", "", "张", "", "", ""]


def test_what_is_no_field_of_a_segment_is_said() -> None:
    message = hl7v2.parse(document("<PID><PID.3>P1</PID.3><OBX.5>x<a>y</a></OBX.5><PID.99999>z</PID.99999></PID>"))
    assert [finding.code for finding in message.findings] == ["xml-element-unknown"] * 2
    assert message.named("PID")[0].fields == ["PID", "", "", "P1"]


REFUSED = {
    "a document type": ('<!DOCTYPE a [<!ENTITY b "c">]><ADT_A01/>', "xml-doctype"),
    "a document type behind the declaration": (
        '<?xml version="1.0"?>\n<!DOCTYPE a SYSTEM "x"><ADT_A01/>',
        "xml-doctype",
    ),
    "an entity": ("<ADT_A01>&b;</ADT_A01>", "xml-malformed"),
    "another vocabulary": ('<a xmlns="urn:x"/>', "xml-not-hl7"),
    "too deep": ("<a>" * 30, "xml-too-large"),
    "cut": (f"<ADT_A01>{MSH}", "xml-malformed"),
    "two roots": ("<a/><b/>", "xml-malformed"),
    "no MSH": ("<ADT_A01><PID/></ADT_A01>", "msh-missing"),
}


@pytest.mark.parametrize(("text", "code"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_taken_is_refused(text: str, code: str) -> None:
    for read in (lambda: hl7v2.parse(text.encode()), lambda: hl7v2.peek(text.encode(), None, "c")):
        with pytest.raises(ParseError) as refusal:
            read()
        assert refusal.value.code == code


def test_a_message_cut_anywhere_is_refused() -> None:
    whole = document(PID)
    for cut in range(60, len(whole) - 1):
        with pytest.raises(ParseError):
            hl7v2.parse(whole[:cut])


def test_text_beyond_any_message_is_refused_for_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v2xml, "MAX_BYTES", 1000)
    with pytest.raises(ParseError) as refusal:
        hl7v2.parse(b"<" + b"a" * 1000)
    assert refusal.value.code == "xml-too-large"


def test_an_answer_to_xml_is_xml_in_the_same_charset() -> None:
    header = hl7v2.peek(document(PID, encoding="GB18030", codec="gb18030"), None, "c")
    answer = acknowledgment.negative(
        header, ParseError("名字 <缺失>", location="PID-5"), ack_control_id="A1", at=datetime(2026, 4, 1, tzinfo=UTC)
    )
    assert answer.startswith(b'<?xml version="1.0" encoding="GB18030"?>')
    assert "名字 &lt;缺失&gt;" in answer.decode("gb18030")
    read = hl7v2.parse(answer)
    assert (read.named("MSA")[0].value(1), read.named("MSA")[0].value(2)) == ("AE", "M1")
    assert read.named("ERR")[0].value(2) == "PID"
