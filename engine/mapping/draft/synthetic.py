"""What could such a message look like? One of the samples' structure with made-up values: nobody's data in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from engine.codecs.er7 import Message
from engine.codecs.er7_header import USUAL
from engine.mapping.draft.describing import holds_codes
from engine.mapping.draft.moving import UNSENT
from engine.mapping.draft.profile import Column
from engine.mapping.draft.survey import Survey
from engine.mapping.usual import with_usual_separators

_VALUES = {
    "XPN": "测试^甲",
    "XCN": "D0001^测试^医生",
    "XAD": "测试路1号^^测试县",
    "XTN": "057100000000^PRN^PH",
    "CP": "10.00",
    "CX": "T0001^^^TEST^MR",
    "MO": "10.00",
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
_FURTHER = {
    "XPN": "测试^甲{}",
    "XAD": "测试路{}号^^测试县",
    "XTN": "057100000{:03}^PRN^PH",
    "CX": "T1{:03}^^^TEST^MR",
    "XON": "测试单位{}",
}
"""In fields that no sample fills: what is said twice gives something once."""
_RETIRED = "T0002^^^TEST^MR"
_WORD = "测试"
_VALUE_TYPE, _VALUE = 2, 5


def synthetic(each: Survey, sample: Message, codes: Mapping[tuple[str, int], str], *, whole: bool = False) -> bytes:
    """A message with the segments of a sample and the fields that it fills, in UTF-8; `codes` by field.

    Of a shifted segment, whose rows it has to try, it has the fields that any sample fills; of a `whole` one all that
    its rows read.
    """
    return "".join(f"{line}\r" for line in _Maker(each, codes, whole=whole).lines(sample)).encode()


class _Maker:
    """Makes up one message."""

    def __init__(self, each: Survey, codes: Mapping[tuple[str, int], str], *, whole: bool) -> None:
        self._each = each
        self._codes = codes
        self._shifted = {shift.segment: shift for shift in each.shifts}
        rules = [row.rule for row in each.moved if row.rule is not None] if whole else []
        self._read = {name for rule in rules for name in rule.fields if name.number != UNSENT}

    def lines(self, sample: Message) -> Iterator[str]:
        kind, version = sample.message_type, sample.header.value(12)
        yield f"MSH|^~\\&|TEST|TEST|HUTONG|HUTONG|20260101080000||{kind}|TEST1|P|{version}||||||UNICODE UTF-8"
        met: Counter[str] = Counter()
        for segment in sample.segments[1:]:
            met[segment.name] += 1
            fields = with_usual_separators(segment)
            filled = {number for number in range(1, len(fields)) if fields[number]}
            if segment.name in self._shifted:
                columns = self._each.profile.columns.items()
                filled |= {number for (name, number), column in columns if name == segment.name and column.filled}
                filled |= {name.number for name in self._read if name.segment == segment.name}
            made = [
                self._value(segment.name, number, fields, met[segment.name]) if number in filled else ""
                for number in range(1, max(filled, default=0) + 1)
            ]
            yield "|".join((segment.name, *made)).rstrip("|")

    def _value(self, segment: str, number: int, fields: Sequence[str], nth: int) -> str:
        if segment == "OBX" and number in (_VALUE_TYPE, _VALUE):
            kind = fields[_VALUE_TYPE]
            return kind if number == _VALUE_TYPE else _VALUES.get(kind, _WORD)
        if (segment, number) in self._codes:
            return self._plain(self._codes[segment, number])
        column = self._each.profile.columns.get((segment, number), Column())
        datatype = self._datatype(segment, number)
        if column.holds_times:
            return _VALUES["DT" if column.forms.most_common(1)[0][0] == "YYYYMMDD" else "TS"]
        if datatype == "EI":  # each order, prescription and charge has a number of its own
            return f"T{nth:04}"
        if segment == "MRG" and datatype == "CX":  # not the number that stays
            return _RETIRED
        if not column.filled and datatype in _FURTHER:
            return _FURTHER[datatype].format(number)
        if datatype in _VALUES and datatype != "SI":
            return _VALUES[datatype]
        if holds_codes(segment, number, column, self._each.structure):
            return self._plain(column.values.most_common(1)[0][0])
        if segment.startswith("Z"):  # notes that are alike would become one
            return f"{_WORD}{number}"
        return "TEST^测试^L" if datatype in ("CE", "CWE", "CNE") else _WORD

    def _datatype(self, segment: str, number: int) -> str:
        shift = self._shifted.get(segment)
        return self._each.structure.datatype(segment, shift.meaning_of(number) if shift is not None else number)

    def _plain(self, code: str) -> str:
        return code if all(each not in code for each in USUAL.encoding_characters + USUAL.field) else _WORD
