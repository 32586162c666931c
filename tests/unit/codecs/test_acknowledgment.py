"""Is the right answer chosen, told in the sender's own version and charset, and read back as it was meant?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.codecs import acknowledgment, er7
from engine.codecs.er7_header import Header, peek
from engine.errors import (
    Disposition,
    FramingError,
    HutongError,
    MappingError,
    ParseError,
    RecordError,
    StorageError,
)

AT = datetime(2026, 4, 1, 0, 30, tzinfo=UTC)


def header(version: str = "2.5", modes: str = "|", separators: str = "^~\\&", charset: str = "GB 18030-2000") -> Header:
    message = (
        f"MSH|{separators}|HIS|白石|HUB|青溪|20260401083000||ADT^A04^ADT_A01|M1|P|{version}|||{modes}|CHN|{charset}\r"
    ).replace("^", separators[0])
    return peek(message.encode("gb18030"), None, "c")


def test_a_positive_answer_goes_back_where_the_message_came_from() -> None:
    answer = acknowledgment.positive(header(), "A1", AT)
    assert answer.decode("gb18030") == (
        "MSH|^~\\&|HUB|青溪|HIS|白石|20260401003000+0000||ACK^A04^ACK|A1|P|2.5||||||GB 18030-2000\rMSA|AA|M1\r"
    )


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("2.1", "ACK"),
        ("2.2", "ACK"),
        ("2.3", "ACK^A04"),
        ("2.3.1", "ACK^A04^ACK"),
        ("2.4", "ACK^A04^ACK"),
        ("", "ACK^A04^ACK"),
    ],
)
def test_the_answer_has_the_type_that_its_version_knows(version: str, kind: str) -> None:
    message = er7.parse(acknowledgment.positive(header(version), "A1", AT))
    assert message.header.field(9) == kind
    assert message.header.field(12) == version


def test_the_answer_has_the_separators_of_the_message() -> None:
    message = er7.parse(acknowledgment.positive(header(separators="*~\\&#"), "A1", AT))
    assert message.header.field(2) == "*~\\&#"
    assert message.header.field(9) == "ACK*A04*ACK"


MODES = {
    # MSH-15|MSH-16: what is said on the connection when it went well and when not; the same where the application
    # acknowledgment goes elsewhere, and which of those are then owed
    "|": ("AA", "AE", "AA", "AE", False, False),
    "NE|NE": ("CA", "CE", "CA", "CE", False, False),
    "NE|AL": ("AA", "AE", "", "", True, True),
    "|AL": ("AA", "AE", "CA", "CE", True, True),
    "AL|": ("AA", "AE", "CA", "CE", True, True),
    "AL|AL": ("AA", "AE", "CA", "CE", True, True),
    "AL|NE": ("CA", "CE", "CA", "CE", False, False),
    "AL|ER": ("CA", "AE", "CA", "CE", False, True),
    "AL|SU": ("AA", "CE", "CA", "CE", True, False),
    "SU|NE": ("CA", "", "CA", "", False, False),
    "ER|NE": ("", "CE", "", "CE", False, False),
    "ER|ER": ("", "AE", "", "CE", False, True),
    "SU|SU": ("AA", "", "CA", "", True, False),
    "ER|SU": ("AA", "CE", "", "CE", True, False),
    "XX|YY": ("AA", "AE", "CA", "CE", True, True),
}


@pytest.mark.parametrize(("modes", "wanted"), MODES.items(), ids=MODES)
def test_each_sender_is_told_what_it_asks_for(modes: str, wanted: tuple[str, str, str, str, bool, bool]) -> None:
    asked = header(modes=modes)
    said = []
    for elsewhere in (False, True):
        level = acknowledgment.level_now(asked, positive=True, elsewhere=elsewhere)
        said.append(level.value and level.value + "A")
        level = acknowledgment.level_now(asked, positive=False, elsewhere=elsewhere)
        said.append(level.value and level.value + "E")
    owed = [acknowledgment.wants_application(asked, positive=positive) for positive in (True, False)]
    assert (*said, *owed) == wanted


@pytest.mark.parametrize(("modes", "wanted"), MODES.items(), ids=MODES)
def test_an_answer_that_is_not_asked_for_is_not_sent(modes: str, wanted: tuple[str, str, str, str, bool, bool]) -> None:
    asked = header(modes=modes)
    yes = acknowledgment.to_send(asked, acknowledgment.positive(asked, "A1", AT))
    refused = acknowledgment.negative(asked, MappingError("x"), ack_control_id="A1", at=AT)
    no = acknowledgment.to_send(asked, refused)
    assert [answer and acknowledgment.read(answer).code for answer in (yes, no)] == [w or b"" for w in wanted[:2]]


def test_a_refusal_is_not_taken_for_an_acceptance_by_what_it_echoes() -> None:
    asked = peek(b"MSH|^~\\&|MSA|AA|||2026||ADT^A04|MSA|AA|2.5|||SU|NE\r", None, "c")
    refused = acknowledgment.negative(asked, MappingError("AA CA"), ack_control_id="A1", at=AT)
    assert acknowledgment.to_send(asked, refused) == b""


def test_an_answer_that_is_owed_asks_for_an_acceptance_of_its_own() -> None:
    owed = er7.parse(
        acknowledgment.positive(header(modes="AL|AL"), "A1", AT, level=acknowledgment.Level.APPLICATION, owed=True)
    )
    assert (owed.header.value(15), owed.header.value(16), owed.header.value(18)) == ("AL", "NE", "GB 18030-2000")
    assert owed.named("MSA")[0].value(1) == "AA"


@pytest.mark.parametrize("version", ["2.3", "2.4", "2.5.1", "2.8"])
def test_the_number_that_is_expected_stands_in_msa_4(version: str) -> None:
    yes = er7.parse(acknowledgment.positive(header(version), "A1", AT, expected=7))
    refused = ParseError("x", code="sequence-number")
    no = er7.parse(
        acknowledgment.negative(header(version), refused, ack_control_id="A1", at=AT, code="AE", expected=-1)
    )
    assert (yes.named("MSA")[0].value(4), no.named("MSA")[0].value(4)) == ("7", "-1")
    assert (
        acknowledgment.read(acknowledgment.negative(header(version), refused, ack_control_id="A1", at=AT)).error_code
        == "100"
    )


ERRORS: dict[str, tuple[HutongError, str, str]] = {
    "framing": (FramingError("x"), "AR", "100"),
    "parsing": (ParseError("x"), "AE", "100"),
    "mapping": (MappingError("x"), "AE", "102"),
    "recording": (RecordError("x"), "AE", "102"),
    "storage": (StorageError("x"), "AE", "207"),
    "anything else": (HutongError("x"), "AE", "207"),
    "a message type without a mapping": (MappingError("x", code="no-mapping"), "AE", "200"),
    "a field that a rule needs": (MappingError("x", code="required-missing"), "AE", "101"),
}


@pytest.mark.parametrize(("error", "code", "condition"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("version", ["2.1", "2.3", "2.4", "2.5", "2.5.1", "2.8", ""])
def test_errors_are_told_in_every_version(error: HutongError, code: str, condition: str, version: str) -> None:
    answer = acknowledgment.negative(header(version), error, ack_control_id="A1", at=AT)
    read = acknowledgment.read(answer)
    assert (read.code, read.control_id, read.text, read.error_code) == (code, "M1", "x", condition)
    assert not read.positive
    assert read.transient == (error.disposition is Disposition.RETRY or condition == "207")


def test_err_says_where_what_and_which_rule() -> None:
    error = MappingError("no code for this value", location="PID-8[2].3", rule="pid-8", code="no-such-code")
    message = er7.parse(acknowledgment.negative(header("2.5.1"), error, ack_control_id="A1", at=AT))
    err = message.named("ERR")[0]
    assert err.field(1) == ""
    assert err.field(2) == "PID^1^8^2^3"
    assert err.field(3) == "102^Data type error^HL70357"
    assert err.field(4) == "E"
    assert err.field(5) == "no-such-code"
    assert err.value(7) == "rule pid-8"
    assert err.value(8) == "no code for this value"


@pytest.mark.parametrize(
    ("location", "place"),
    [("PID-8", "PID^1^8"), ("PID-8.3", "PID^1^8^^3"), ("routes.yaml:3", ""), ("MSH", ""), (None, ""), ("a-b-c", "")],
)
def test_a_place_outside_the_message_is_not_told_as_one_inside(location: str | None, place: str) -> None:
    error = MappingError("x", location=location)
    message = er7.parse(acknowledgment.negative(header(), error, ack_control_id="A1", at=AT))
    assert message.named("ERR")[0].field(2) == place


def test_the_caller_may_know_better_than_the_disposition() -> None:
    answer = acknowledgment.negative(header(), ParseError("x"), ack_control_id="A1", at=AT, code="AR")
    assert acknowledgment.read(answer).code == "AR"


def test_what_has_no_header_is_answered_without_a_control_id() -> None:
    error = ParseError("the message does not begin with MSH", code="msh-missing")
    read = acknowledgment.read(acknowledgment.negative(None, error, ack_control_id="A1", at=AT, code="AR"))
    assert (read.code, read.control_id, read.text) == ("AR", "", "the message does not begin with MSH")


def test_separators_in_an_error_do_not_break_the_answer() -> None:
    error = MappingError("a|b^c~d\\e&f\rg")
    for version in ("2.4", "2.5"):
        read = acknowledgment.read(acknowledgment.negative(header(version), error, ack_control_id="A1", at=AT))
        assert read.text == "a|b^c~d\\e&f\ng"


FOREIGN = {
    "a bare one": ("MSA|AA|M1", "AA", "M1", "", ""),
    "a text of v2.3": ("MSA|AE|M1|数据库错误", "AE", "M1", "数据库错误", ""),
    "a condition in MSA-6": ("MSA|AE|M1|x|||206^locked", "AE", "M1", "x", "206"),
    "a condition in ERR-1": ("MSA|AR|M1\rERR|PID^1^3^101&Required field missing&HL70357", "AR", "M1", "", "101"),
    "a condition in ERR-3": ("MSA|CE|M1\rERR||PID^1^3|207^x^HL70357|E||||busy", "CE", "M1", "busy", "207"),
    "segments between": ("SFT|x\rMSA|CA|M1\rNTE|1", "CA", "M1", "", ""),
}


@pytest.mark.parametrize(("segments", "code", "control_id", "said", "condition"), FOREIGN.values(), ids=FOREIGN)
def test_answers_of_others_are_read(segments: str, code: str, control_id: str, said: str, condition: str) -> None:
    answer = acknowledgment.read(f"MSH|^~\\&|X|Y|||2026||ACK|9|P|2.3\r{segments}\r".encode("gb18030"))
    assert answer == acknowledgment.Answer(code, control_id, said, condition)


@pytest.mark.parametrize("said", ["Application internal error", "application record locked: try later"])
def test_a_passing_reason_is_known_by_its_text_where_there_is_no_condition(said: str) -> None:
    answer = acknowledgment.read(f"MSH|^~\\&|X|Y|||2026||ACK|9|P|2.3\rMSA|AE|M1|{said}\r".encode())
    assert answer.transient


@pytest.mark.parametrize("segments", ["", "MSA|", "MSA|OK|M1", "PID|1"])
def test_what_is_no_acknowledgment_is_not_taken_for_one(segments: str) -> None:
    with pytest.raises(ParseError) as refusal:
        acknowledgment.read(f"MSH|^~\\&|X|Y|||2026||ACK|9|P|2.3\r{segments}\r".encode())
    assert refusal.value.code == "not-an-acknowledgment"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("MSH|^~\\&|HUB|青溪\rMSA|AA|M1\r", "AA"),
        ("MSH#^~\\&#HUB#青溪\rMSA#CE#M1#无此病人\r", "CE"),
        ("MSH|^~\\&|HUB|青溪\rERR|||207^x\rMSA|AR|M1", "AR"),
        ("MSH|^~\\&|HUB|MSA|AA\rMSA|AE", "AE"),
        ("MSH|^~\\&|HUB|青溪\rMSA|ZZ|M1\r", ""),
        ("MSH|^~\\&|HUB|青溪\rMSA|", ""),
        ("MSH|^~\\&|HUB|青溪\rPID|1\r", ""),
        ("<ACK><MSA.1>AA</MSA.1></ACK>", ""),
        ("", ""),
    ],
)
def test_the_code_alone_is_found_without_reading_the_answer(answer: str, code: str) -> None:
    assert acknowledgment.answered_code(answer.encode("gb18030")) == code
