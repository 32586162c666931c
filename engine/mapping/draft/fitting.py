"""Does a field hold what the standard has there? By what its column looks like, and for what the field is meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.mapping.draft.content import (
    ADDRESS,
    CODE,
    ID_CARD,
    IDENTIFIER,
    NUMBER,
    PERSON,
    PHONE,
    RANGE,
    SEX,
    TIME,
    UNIT,
    WORDS,
)
from engine.mapping.draft.profile import Column
from engine.mapping.lens.structures import Structure

_TIMES = frozenset({"TS", "DT", "DTM"})
_PEOPLE = frozenset({"XCN", "XPN", "PPN"})
_NUMBERS = frozenset({"NM", "SI"})
_CODES = frozenset({"ID", "IS"})
_CONCEPTS = frozenset({"CE", "CWE", "CNE"})
_PHONES = frozenset({"XTN", "TN"})
_FITS: Mapping[str, frozenset[str]] = {
    TIME: _TIMES | {"DR"},
    PERSON: _PEOPLE,
    IDENTIFIER: frozenset({"CX", "EI", "EIP"}),
    NUMBER: _NUMBERS | {"CQ"},
    PHONE: _PHONES,
    ADDRESS: frozenset({"XAD"}),
}
"""Datatypes that a kind of content speaks for."""
_AGAINST: Mapping[str, frozenset[str]] = {
    TIME: _PEOPLE | _CODES | _NUMBERS | _CONCEPTS | {"XAD", "PL", "XON", "MOC", "MO", "CP", "FC", "DLN", "JCC"},
    PERSON: _TIMES | _NUMBERS | _PHONES | {"ID", "CX"},
    IDENTIFIER: _TIMES | _CODES | {"SI", "FC"},
    NUMBER: _TIMES,
    WORDS: _TIMES | _NUMBERS,
    CODE: _TIMES | {"NM"},
    RANGE: frozenset(),
    UNIT: frozenset(),
    SEX: _TIMES | _NUMBERS,
    ID_CARD: _TIMES | _CODES | {"SI", "FC"},
    PHONE: _TIMES | _CODES | {"SI", "FC"},
    ADDRESS: _TIMES | _NUMBERS,
}
"""Datatypes that it speaks against. What is in neither says nothing."""
_OF_PEOPLE = frozenset({"PID", "NK1", "GT1", "IN1", "IN2"})
_AGAINST_OF_PEOPLE: Mapping[str, frozenset[str]] = {
    SEX: _PEOPLE | _PHONES | {"XAD", "CX"},
    ID_CARD: _PEOPLE | _PHONES | _CONCEPTS | {"XAD", "DLN", "XON", "NM", "CP", "MO", "MOC"},
    PHONE: _PEOPLE | _CONCEPTS | {"XAD", "DLN", "XON", "NM"},
    ADDRESS: _PEOPLE | _PHONES | {"CX", "DLN", "ID"},
}
"""The same for the segments about people alone: anywhere else such things stand as comments, too."""
_MEANT_FOR: Mapping[str, frozenset[tuple[str, int]]] = {
    ID_CARD: frozenset(
        {("PID", 2), ("PID", 3), ("PID", 4), ("PID", 19), ("NK1", 33), ("NK1", 37)}
        | {("GT1", 2), ("GT1", 12), ("IN1", 36), ("IN1", 49), ("MRG", 1), ("MRG", 4)}
    ),
    SEX: frozenset({("PID", 8), ("NK1", 15), ("GT1", 9), ("IN1", 43)}),
    RANGE: frozenset({("OBX", 7)}),
    UNIT: frozenset({("OBX", 6)}),
}
"""Fields that such content is meant for."""
_NEVER_FOR: Mapping[str, frozenset[tuple[str, int]]] = {
    ID_CARD: frozenset({("PID", 18)}),
    RANGE: frozenset({("OBX", 4), ("OBX", 6), ("OBX", 8), ("OBX", 9)}),
    UNIT: frozenset({("OBX", 4), ("OBX", 7), ("OBX", 8)}),
}
"""Fields whose datatype would let it pass."""
_SEXES = frozenset({"F", "M", "U", "O"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a field holds that belongs elsewhere.

    count    how many of the segments that fill it (`filled`) hold this kind of thing
    checked  in how many of them the check digit of a 居民身份证 is right
    title    what the field is called where it belongs
    """

    number: int
    kind: str
    count: int
    filled: int
    checked: int
    title: str

    @classmethod
    def of(cls, column: Column, number: int, title: str) -> Evidence:
        return cls(number, column.kind, column.kinds[column.kind], column.filled, column.checked, title)


def fit(column: Column, segment: str, number: int, structure: Structure) -> int:
    """1 where what the column holds speaks for a field, -1 where it speaks against it, 0 where it says nothing."""
    kind, datatype = column.kind, structure.datatype(segment, number)
    if not datatype or kind not in _AGAINST:
        return 0
    place = segment, number
    if kind == CODE and segment in _OF_PEOPLE and "F" in column.values and column.values.keys() <= _SEXES:
        kind = SEX
    if place in _MEANT_FOR.get(kind, ()):
        return 1
    if place in _NEVER_FOR.get(kind, ()):
        return -1
    if kind == CODE and column.values and (codes := structure.codes(segment, number)):
        listed = sum(each in codes for each in column.values)
        if listed == len(column.values):
            return 1
        return -1 if not listed and datatype == "ID" else 0  # codes of an IS are the facility's own affair
    against = _AGAINST[kind] | (_AGAINST_OF_PEOPLE.get(kind, frozenset()) if segment in _OF_PEOPLE else frozenset())
    return int(datatype in _FITS.get(kind, ())) - int(datatype in against)
