"""Is every message of a batch handed out with its own bytes, and a batch that is not whole refused with a number?"""

from __future__ import annotations

import pytest

from engine.codecs import er7_batch
from engine.errors import ParseError

FHS = b"FHS|^~\\&|LAB|BS|HUB|QX|20261121||day||F1\r"
BHS = b"BHS|^~\\&|LAB|BS|HUB|QX|20261121||||B1\r"
FTS = b"FTS|1\r"


def message(control_id: str, *, text: str = "") -> bytes:
    return f"MSH|^~\\&|LAB|BS|||20261121||ORU^R01|{control_id}|P|2.5\rPID|1||P1\rOBX|1|TX|x||{text}\r".encode()


ONE, TWO, THREE = message("1"), message("2"), message("3")

WHOLE = {
    "a file of one batch": (FHS + BHS + ONE + TWO + b"BTS|2\r" + FTS, [ONE, TWO], [2]),
    "a batch alone": (BHS + ONE + b"BTS|1\r", [ONE], [1]),
    "a file of two batches": (
        FHS + BHS + ONE + b"BTS|1\r" + BHS + TWO + THREE + b"BTS|2\rFTS|2\r", [ONE, TWO, THREE], [1, 2],
    ),
    "a file without batch headers": (FHS + ONE + TWO + FTS, [ONE, TWO], [2]),
    "counts left out": (FHS + BHS + ONE + b"BTS|\rFTS|\r", [ONE], [1]),
    "counts with zeros before": (BHS + ONE + b"BTS|001\r", [ONE], [1]),
    "nothing in it": (FHS + BHS + b"BTS|0\r" + FTS, [], [0]),
    "a byte order mark and blanks before": (b"\xef\xbb\xbf\r\n" + BHS + ONE + b"BTS|1\r", [ONE], [1]),
    "the same message twice": (BHS + ONE + ONE + b"BTS|2\r", [ONE, ONE], [2]),
    "the words of the enclosure within text": (
        BHS + message("1", text="BTS|FTS|MSH|") + b"BTS|1\r", [message("1", text="BTS|FTS|MSH|")], [1],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("payload", "messages", "counts"), WHOLE.values(), ids=WHOLE)
def test_messages_are_handed_out_with_their_own_bytes(payload: bytes, messages: list[bytes], counts: list[int]) -> None:
    batch = er7_batch.split(payload)
    assert list(batch.messages) == messages
    assert [count for _, count in batch.batches] == counts
    assert batch.findings == ()


def test_line_feeds_and_both_end_segments_too() -> None:
    for end in (b"\n", b"\r\n"):
        whole = (FHS + BHS + ONE + TWO + b"BTS|2\r" + FTS).replace(b"\r", end)
        assert list(er7_batch.split(whole).messages) == [ONE.replace(b"\r", end), TWO.replace(b"\r", end)]


BROKEN = {
    "no trailer": (BHS + ONE + TWO, "without BTS", 2),
    "no trailer of the file": (FHS + BHS + ONE + b"BTS|1\r", "without FTS", 1),
    "a batch in a batch": (BHS + ONE + BHS + TWO + b"BTS|1\rBTS|1\r", "another BHS", 1),
    "a file in a file": (FHS + FHS + FTS, "another FHS", 0),
    "a file that begins in a batch": (BHS + ONE + FHS + FTS, "another FHS", 1),
    "a trailer without a batch": (BHS + ONE + b"BTS|1\rBTS|1\r", "BTS comes without", 1),
    "the file ends inside a batch": (FHS + BHS + ONE + FTS, "before BTS", 1),
    "something behind the end": (FHS + BHS + ONE + b"BTS|1\r" + FTS + TWO, "follows the end", 1),
    "segments outside of messages": (BHS + b"PID|1||P1\r" + ONE + b"BTS|1\r", "outside", 0),
    "a header alone": (b"BHS", "no fields", 0),
}


@pytest.mark.parametrize(("payload", "why", "before"), BROKEN.values(), ids=BROKEN)
def test_a_batch_that_is_not_whole_is_refused_and_says_how_far_it_was(payload: bytes, why: str, before: int) -> None:
    assert er7_batch.is_batch(payload)
    with pytest.raises(ParseError, match=why) as refusal:
        er7_batch.split(payload)
    assert refusal.value.code == "batch-broken"
    assert f"({before} messages" in refusal.value.message


def test_a_batch_cut_anywhere_loses_nothing_silently() -> None:
    whole = FHS + BHS + ONE + TWO + b"BTS|2\rFTS|1\r"
    for cut in range(8, len(whole) - 4):
        with pytest.raises(ParseError):
            er7_batch.split(whole[:cut])


@pytest.mark.parametrize(
    ("trailers", "places"),
    [(b"BTS|3\rFTS|1\r", ["BTS-1"]), (b"BTS|2\rFTS|2\r", ["FTS-1"]), (b"BTS|x\rFTS|-1\r", ["BTS-1", "FTS-1"])],
)
def test_a_wrong_count_is_a_finding_and_every_message_is_taken(trailers: bytes, places: list[str]) -> None:
    batch = er7_batch.split(FHS + BHS + ONE + TWO + trailers)
    assert len(batch.messages) == 2
    assert [finding.location for finding in batch.findings] == places


@pytest.mark.parametrize("payload", [b"", b"MSH|^~\\&|", b"PID|1", b"<ADT_A01/>", b"\x00BH", b"XFHS|"])
def test_what_is_no_batch_is_not_taken_for_one(payload: bytes) -> None:
    assert not er7_batch.is_batch(payload)


def test_a_batch_of_a_hundred_thousand_messages_is_split() -> None:
    many = [f"MSH|^~\\&|A|B|||2026||ADT^A04|{n}|P|2.5\rPID|1||P{n}\r".encode() for n in range(100_000)]
    batch = er7_batch.split(b"".join((BHS, *many, b"BTS|100000\r")))
    assert list(batch.messages) == many
    assert batch.findings == ()


def test_the_answer_is_a_batch_back_to_where_it_came_from() -> None:
    batch = er7_batch.split(FHS + BHS + ONE + TWO + b"BTS|2\r" + BHS + THREE + b"BTS|1\rFTS|2\r")
    answered = er7_batch.answer(
        batch, [b"MSH|a\rMSA|AA|1\r", b"", b"MSH|c\rMSA|AA|3\r"], control_id="K", created="2026"
    )
    assert answered == (
        b"FHS|^~\\&|HUB|QX|LAB|BS|2026||||K|F1\r"
        b"BHS|^~\\&|HUB|QX|LAB|BS|2026||||K|B1\rMSH|a\rMSA|AA|1\rBTS|1\r"
        b"BHS|^~\\&|HUB|QX|LAB|BS|2026||||K|B1\rMSH|c\rMSA|AA|3\rBTS|1\r"
        b"FTS|2\r"
    )
    assert list(er7_batch.split(answered).messages) == [b"MSH|a\rMSA|AA|1\r", b"MSH|c\rMSA|AA|3\r"]


def test_a_chinese_header_is_echoed_in_its_own_charset() -> None:
    header = "BHS|^~\\&|检验|白石|枢纽|青溪|2026||||批1\r".encode("gb18030")
    batch = er7_batch.split(header + ONE + b"BTS|1\r", "gb18030")
    answered = er7_batch.answer(batch, [b""], control_id="K", created="2026")
    assert answered.decode("gb18030").startswith("BHS|^~\\&|枢纽|青溪|检验|白石|2026||||K|批1\r")
