"""Is only the next message taken, whatever numbers come?"""

from __future__ import annotations

import pytest

from engine.codecs.sequence_number import has_content, turn

TURNS = {
    # last, MSH-13: taken, MSA-4, what is kept
    "the first ever": (None, "5", True, 5, 5),
    "the next": (5, "6", True, 6, 6),
    "the next, with zeros": (5, "0006", True, 6, 6),
    "a gap": (5, "7", False, 6, 5),
    "the same": (5, "5", False, 6, 5),
    "one long ago": (5, "1", False, 6, 5),
    "a start": (5, "0", False, 6, 5),
    "a first start": (None, "0", False, -1, None),
    "a resynchronisation": (5, "-1", False, -1, None),
    "nothing": (5, "", False, 6, 5),
    "no number": (5, "six", False, 6, 5),
    "less than -1": (5, "-2", False, 6, 5),
    "more digits than there may be": (5, "1" * 16, False, 6, 5),
}


@pytest.mark.parametrize(("last", "stated", "taken", "expected", "kept"), TURNS.values(), ids=TURNS)
def test_each_number_is_judged(last: int | None, stated: str, taken: bool, expected: int, kept: int | None) -> None:
    judged = turn(last, stated, has_content=False)
    assert (judged.taken, judged.expected, judged.last) == (taken, expected, kept)
    assert (judged.error is None) == (taken or stated in ("0", "-1"))


@pytest.mark.parametrize("stated", ["0", "-1"])
def test_content_in_a_start_is_refused_and_changes_nothing(stated: str) -> None:
    judged = turn(5, stated, has_content=True)
    assert (judged.taken, judged.last) == (False, 5)
    assert judged.error is not None


@pytest.mark.parametrize(
    ("rest", "content"),
    [(b"", False), (b"PID|||\r", False), (b"PID\rPV1|^~\\&|\r\n", False), (b"PID|1\r", True), (b"\rPID|||P1", True)],
)
def test_content_is_what_stands_in_fields(rest: bytes, content: bool) -> None:
    assert has_content(b"MSH|^~\\&|A\r" + rest, "|") is content
