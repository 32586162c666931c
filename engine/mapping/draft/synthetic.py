"""What could such a message look like? One of the samples' structure with made-up values: nobody's data in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from engine.codecs.er7 import Message
from engine.codecs.er7_header import USUAL
from engine.mapping.draft.describing import holds_codes
from engine.mapping.draft.profile import Column, Profile
from engine.mapping.draft.shifting import Shift
from engine.mapping.lens.structures import Structure
from engine.mapping.usual import with_usual_separators

_VALUES = {
    "XPN": "测试^甲",
    "XCN": "D0001^测试^医生",
    "XAD": "测试路1号^^测试县",
    "XTN": "057100000000^PRN^PH",
    "CX": "T0001^^^TEST^MR",
    "PL": "测试科^1^1",
    "XON": "测试单位",
    "NM": "1",
    "SI": "1",
    "DT": "20260101",
    "TS": "20260101080000",
    "DTM": "20260101080000",
    "DR": "20260101080000",
    "TM": "0800",
    "CQ": "1^mL",
    "FN": "测试",
}
"""By datatype; a field of any other one that is no code holds a word for a test."""
_WORD = "测试"
_VALUE_TYPE, _VALUE = 2, 5


def synthetic(profile: Profile, message_type: str, structure: Structure, shifts: Iterable[Shift] = ()) -> bytes:
    """A message with the segments of the first sample and the fields that it fills, in UTF-8."""
    assert profile.first is not None
    shifted = {shift.segment: shift for shift in shifts}
    return "".join(f"{line}\r" for line in _lines(profile.first, profile, message_type, structure, shifted)).encode()


def _lines(
    sample: Message, profile: Profile, message_type: str, structure: Structure, shifted: Mapping[str, Shift]
) -> list[str]:
    version = sample.header.value(12)
    header = f"MSH|^~\\&|TEST|TEST|HUTONG|HUTONG|20260101080000||{message_type}|TEST1|P|{version}||||||UNICODE UTF-8"
    lines = [header]
    met: Counter[str] = Counter()
    for segment in sample.segments[1:]:
        met[segment.name] += 1
        fields = with_usual_separators(segment)
        kind = fields[_VALUE_TYPE] if segment.name == "OBX" and len(fields) > _VALUE_TYPE else ""
        made = [
            _value(segment.name, number, kind, profile, structure, shifted, met[segment.name]) if fields[number] else ""
            for number in range(1, len(fields))
        ]
        lines.append("|".join((segment.name, *made)).rstrip("|"))
    return lines


def _value(
    segment: str,
    number: int,
    kind: str,
    profile: Profile,
    structure: Structure,
    shifted: Mapping[str, Shift],
    nth: int,
) -> str:
    column = profile.columns.get((segment, number), Column())
    shift = shifted.get(segment)
    datatype = structure.datatype(segment, shift.meaning_of(number) if shift is not None else number)
    if segment == "OBX" and number == _VALUE_TYPE:
        return kind
    if segment == "OBX" and number == _VALUE:
        return _VALUES.get(kind, "1" if kind == "NM" else _WORD)
    if column.holds_times:
        return _VALUES["DT" if column.forms.most_common(1)[0][0] == "YYYYMMDD" else "TS"]
    if datatype == "EI":  # each order, prescription and charge has a number of its own
        return f"T{nth:04}"
    if datatype in _VALUES and datatype != "SI":
        return _VALUES[datatype]
    if holds_codes(segment, number, column, structure):
        code = column.values.most_common(1)[0][0]
        return code if all(each not in code for each in USUAL.encoding_characters + USUAL.field) else _WORD
    return "TEST^测试^L" if datatype in ("CE", "CWE", "CNE") else _WORD
