"""An answer that is written straight to bytes is the very one that pydicom writes, or it is left to pydicom."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from engine.store.imaging_query import Content, Found, Key, Level
from pacs_gateway.query.answers import answer_of, known_of
from pacs_gateway.query.identifier import UNREADABLE, decoded, encoded
from pacs_gateway.query.keys import INDEXED, LEVEL_OF
from pacs_gateway.query.plain import PlainAnswers, is_plain
from pacs_gateway.query.usual import Unusual

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
AE = "HUTONG"
STUDY = {
    "patient_name": "ZHANG^WEI=张^伟",
    "patient_id": "P0001",
    "issuer": "白石乡卫生院",
    "birth_date": "19900307",
    "sex": "F",
    "age": "035Y",
    "accession": "A26030001",
    "study_id": "1",
    "study_date": "20260302",
    "study_time": "081000.123",
    "description": "胸部正位DR",
    "referring": "WANG^FANG",
}
SERIES = {"modality": "DX", "series_description": "PA", "series_number": "1", "body_part": "CHEST", "model": "X|1"}
IMAGE = {"number": "12", "frames": "1", "acquired_at": "20260302081000"}
NASTY = [
    *("", " ", "a\\b", " a", "a ", "é", "\u200b", "a\nb", "x" * 100, "张" * 40, "0", "007", "-1", "1.5"),
    *("^^", "=", "==x", "x=", "a=b=c=d", "a^b^c^d^e^f", "a^^^", "20261", "lower", "0810", "99999999999", "1990.03.07"),
    *("\x1b$B", "UNK NOWN", "\0", "?", "*"),
]


def match(level: Level, **changes: Any) -> Found:
    study, series, image = ({**texts, **changes} for texts in (STUDY, SERIES, IMAGE))
    below = {Level.PATIENT: 0, Level.STUDY: 0, Level.SERIES: 1, Level.IMAGE: 2}[level]
    return Found(
        level=level,
        key=Key("baishi", "1.2.3", "1.2.3.4" if below else "", "1.2.3.4.5" if below == 2 else ""),
        tags=(json.dumps(study), json.dumps(series) if below else "", json.dumps(image) if below == 2 else ""),
        content=Content("1.2.3.4.5", "1.2.840.10008.5.1.4.1.1.2", EXPLICIT, "a/b/c", "{}", 1),
        modalities=("CT", "SR"),
        studies=2,
        series=3,
        instances=40,
    )


def asking_for(tags: list[int]) -> Dataset:
    """As it comes from a client: read from bytes, in implicit VR."""
    identifier = Dataset()
    for tag in tags:
        identifier.add_new(tag, "LO", None)
    identifier.QueryRetrieveLevel = "STUDY"
    return decoded(encoded(identifier, IMPLICIT), IMPLICIT)


def by_pydicom(identifier: Dataset, found: Found, syntax: str) -> bytes:
    return encoded(answer_of(identifier, known_of(found, found.level, Dataset()), found.level, AE), syntax)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("level", list(Level))
def test_ordinary_answers_are_written_as_pydicom_writes_them(level: Level, syntax: str) -> None:
    chance = random.Random(1)
    everything = sorted(LEVEL_OF)
    for tags in ([], everything, *(chance.sample(everything, chance.randint(1, 12)) for _ in range(20))):
        identifier = asking_for(tags)
        assert is_plain(identifier, syntax)
        found = match(level)
        assert PlainAnswers(identifier, level, AE, syntax).write(found) == by_pydicom(identifier, found, syntax)


@pytest.mark.parametrize("name", sorted(set(INDEXED.values())))
def test_what_is_written_for_unusual_values_is_the_same_or_nothing(name: str) -> None:
    identifier = asking_for(sorted(LEVEL_OF))
    for value in NASTY:
        found = match(Level.IMAGE, **{name: value})
        for syntax in (IMPLICIT, EXPLICIT):
            try:
                written = PlainAnswers(identifier, Level.IMAGE, AE, syntax).write(found)
            except Unusual:
                continue
            try:
                assert written == by_pydicom(identifier, found, syntax), (name, value)
            except UNREADABLE:
                pytest.fail(f"pydicom does not write {name} = {value!r}")


def test_what_the_index_does_not_have_is_written_the_longer_way() -> None:
    private, unindexed, sequence = 0x00091001, tag_for_keyword("KVP"), tag_for_keyword("ReferencedStudySequence")
    for tag in (private, unindexed, sequence):
        assert tag is not None
        assert not is_plain(asking_for([tag]), EXPLICIT)
    for syntax in ("1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"):
        assert not is_plain(asking_for([]), syntax)
