"""A message with unusual separators means the same as one with the usual ones."""

from __future__ import annotations

import pytest

from engine.codecs import er7
from engine.mapping import MappingSet
from tests.unit.mapping.conftest import CONTEXT

_LINES = (
    "MSH|^~\\&|HIS|F|HUTONG|H|20260401083000||ORU^R01|C1|P|2.5.1",
    "PID|1||P1^^^HIS&1.2.3&ISO^MR~P2^^^HIS^PI||O\\T\\B^A\\S\\B||19491231|M",
    "OBR|1|PL1|FL1|X^甲\\R\\乙^L|||20260401",
    "OBX|1|TX|N^镜检^L||一~二\\E\\||||||F",
)
_USUAL = "|^~\\&"


def _with(separators: str, line: str) -> str:
    return line.translate({ord(usual): other for usual, other in zip(_USUAL, separators, strict=True)})


@pytest.mark.parametrize("separators", ["|^~\\&", "$*!?%", "#@~\\&", "&^~\\|", "|~^&\\"])
def test_the_resources_are_the_same(mappings: MappingSet, separators: str) -> None:
    mapping = mappings.find("ORU^R01", "baishi")
    assert mapping is not None
    results = [
        mapping.apply(er7.parse("".join(f"{_with(each, line)}\r" for line in _LINES).encode()), CONTEXT)
        for each in (_USUAL, separators)
    ]
    assert results[0].resources == results[1].resources
    assert results[0].unmapped == results[1].unmapped == []


def test_the_usual_characters_are_data_where_others_separate(mappings: MappingSet) -> None:
    mapping = mappings.find("ADT^A04", "baishi")
    assert mapping is not None
    payload = b"MSH$*!?%$HIS$F$H$H$20260401$$ADT*A04$C1$P$2.5.1\rPID$1$$P^1~2*  *  *HIS*MR$$A&B|C*D\\E\r"
    patient = mapping.apply(er7.parse(payload), CONTEXT).resources[0]
    assert patient["identifier"][0]["value"] == "P^1~2"
    assert (patient["name"][0]["family"], patient["name"][0]["given"]) == ("A&B|C", ["D\\E"])


def test_five_encoding_characters_are_taken(mappings: MappingSet) -> None:
    mapping = mappings.find("ADT^A04", "baishi")
    assert mapping is not None
    payload = "MSH|^~\\&#|HIS|F|H|H|20260401||ADT^A04|C1|P|2.7\rPID|1||P1^^^HIS^MR||王^小东\r".encode()
    assert mapping.apply(er7.parse(payload), CONTEXT).resources[0]["name"][0]["text"] == "王小东"
