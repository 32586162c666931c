"""Keys are matched as the standard says, whatever they hold."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from engine.errors import ParseError
from engine.store.imaging_names import name_matches
from engine.store.imaging_query import Range
from engine.store.patterns import like, matches
from pacs_gateway.query.identifier import decoded, encoded
from pacs_gateway.query.matching import satisfies
from pacs_gateway.query.values import date_range, texts_of, time_range
from pacs_gateway.transfer_syntaxes import UNCOMPRESSED

PATTERNS = [
    ("", "", True),
    ("", "a", False),
    ("*", "", True),
    ("a*c", "abbbc", True),
    ("a*c", "abbb", False),
    ("?", "", False),
    ("a?c*", "abc", True),
    ("*b*b", "abb", True),
    ("*b?b", "abb", False),
    ("%_\\", "%_\\", True),
]


def test_wildcards_stand_for_any_run_and_for_one_character() -> None:
    assert [(pattern, text, matches(pattern, text)) for pattern, text, _ in PATTERNS] == PATTERNS


def test_no_number_of_wildcards_takes_long() -> None:
    began = time.process_time()
    assert not matches("*a" * 300 + "b", "a" * 1000)
    assert not name_matches("*a" * 300 + "b", "a" * 1000)
    assert time.process_time() - began < 1


def test_what_is_special_to_like_is_literal() -> None:
    assert like("50%_\\*?") == "50\\%\\_\\\\%_"


NAMES = [
    ("zhang*", "Zhang^Wei=张^伟", True),
    ("zw", "张伟", True),
    ("wei*", "Zhang^Wei", False),
    ("zhang^*", "Zhangli^X", False),
    ("shan*", "单雄信", True),
    ("Zhang=李", "Zhang=张", False),
]


def test_a_name_matches_by_characters_pinyin_and_initials() -> None:
    assert [(pattern, name, name_matches(pattern, name)) for pattern, name, _ in NAMES] == NAMES


def test_ranges_are_open_where_nothing_is_said_and_whole_where_little_is() -> None:
    assert date_range("20260101-") == Range("20260101", "")
    assert date_range("-2026.01.31") == Range("", "20260131")
    assert date_range("20260101") == Range("20260101", "20260101")
    assert date_range("*") == Range()
    assert time_range("10-1130") == Range("100000", "113059")
    assert time_range("10:15:30.25") == Range("101530", "101530")


@pytest.mark.parametrize("text", ["2026", "20260101-x", "--", "2026010*", "' or 1=1"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        date_range(text)


def coded(code: str, scheme: str = "") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code, scheme
    keys = Dataset()
    keys.ProcedureCodeSequence = Sequence([item])
    return keys


def test_a_sequence_matches_when_one_of_its_items_does() -> None:
    known = coded("A", "SCT")
    known.ProcedureCodeSequence.append(coded("B", "DCM").ProcedureCodeSequence[0])
    asked = [coded("B"), coded("B", "DCM"), coded("B", "SCT"), coded("C"), coded(""), coded("*")]
    assert [satisfies(known, keys) for keys in asked] == [True, True, False, False, True, True]
    assert [satisfies(Dataset(), keys) for keys in asked] == [False, False, False, False, True, True]


def test_keys_nested_too_deeply_are_refused() -> None:
    keys = Dataset()
    for _ in range(20):
        outer = Dataset()
        outer.ReferencedStudySequence = Sequence([keys])
        keys = outer
    known = keys
    with pytest.raises(ParseError):
        satisfies(known, keys)


def test_bytes_that_are_no_identifier_are_refused_and_never_break() -> None:
    keys = coded("A", "SCT")
    keys.PatientName = "x*"
    for syntax in UNCOMPRESSED:
        whole = encoded(keys, syntax)
        assert str(decoded(whole, syntax).PatientName) == "x*"
        for end in range(len(whole)):
            with suppress(ParseError):
                texts_of(decoded(whole[:end], syntax))


def test_a_name_is_read_as_it_was_meant_whatever_its_label_says() -> None:
    keys = Dataset()
    keys.SpecificCharacterSet = "ISO_IR 192"
    keys.PatientName = "张*"
    whole = encoded(keys, "1.2.840.10008.1.2.1").replace(b"ISO_IR 192", b"ISO_IR 100")
    assert texts_of(decoded(whole, "1.2.840.10008.1.2.1"))[0x00100010] == "张*"
