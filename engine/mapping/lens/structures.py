"""In which order do the segments of a message stand, and what may repeat? By HL7's structures, version by version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

from hl7apy import SUPPORTED_LIBRARIES, load_library

_USUAL_VERSION = "2.5.1"
_TABLES = "hl7apy.v2_5_1.tables"
_STRUCTURES: dict[str, dict[str, tuple[str, ...]]] = {
    "ADT": {
        "A01": ("A04", "A08", "A13"),
        "A05": ("A14", "A28", "A31"),
        "A06": ("A07",),
        "A09": ("A10", "A11"),
        "A21": ("A22", "A23", "A25", "A26", "A27", "A29", "A32", "A33"),
        "A30": ("A34", "A35", "A36", "A46", "A47", "A48", "A49"),
        "A39": ("A40", "A41", "A42"),
        "A43": ("A44",),
        "A50": ("A51",),
        "A52": ("A53",),
        "A54": ("A55",),
        "A61": ("A62",),
    },
    "SIU": {"S12": tuple(f"S{number}" for number in range(13, 27))},
    "MDM": {"T01": ("T03", "T05", "T07", "T09", "T11"), "T02": ("T04", "T06", "T08", "T10")},
    "REF": {"I12": ("I13", "I14", "I15")},
    "RDE": {"O11": ("O25",)},
}
"""HL7 v2.5.1 table 0354: trigger events that share the structure of another one."""
_OTHER_NAMES = {
    "RDE_O01": "RDE_O11",
    "RDE_O11": "RDE_O01",
    "RDS_O01": "RDS_O13",
    "RDS_O13": "RDS_O01",
    "RAS_O01": "RAS_O17",
    "RAS_O17": "RAS_O01",
    "DFT_P11": "DFT_P03",
}
"""Structures under the name that another version has for them: some systems send an event before its version."""
_SENT_ANYHOW = {"PRD": 14, "SCH": 27}
"""Segments of which systems send the fields of other versions, too: where a provider works, which order it is for."""
_REPEATING = frozenset({"NTE", "DG1", "AL1", "NK1", "OBX"})
"""Segments that repeat in nearly every message, for messages whose structure nobody knows."""


def structure_name(message_type: str) -> str:
    """MSH-9.3: `ADT_A01` for `ADT^A08`."""
    code, _, event = message_type.partition("^")
    for first, others in _STRUCTURES.get(code, {}).items():
        if event in others:
            return f"{code}_{first}"
    return f"{code}_{event}" if event else code


class Structure:
    """What HL7 says of one kind of message in one version."""

    def __init__(self, message_type: str, version: str) -> None:
        self.name = structure_name(message_type)
        self._version = version
        self._segments = _library(version).SEGMENTS
        messages = _library(version).MESSAGES
        listed = list(_leaves(messages.get(self.name) or messages.get(_OTHER_NAMES.get(self.name, ""))))
        self.order = tuple(leaf.name for leaf in listed)
        """Every segment in its place, as often as there are places for it. Empty for unknown messages."""
        self._repeating = frozenset(leaf.name for leaf in listed if leaf.repeats) or _REPEATING
        self._left_out: frozenset[str] = frozenset()
        self._in_repeating = frozenset(leaf.name for leaf in listed if leaf.repeats or leaf.in_repeating)

    def segment_repeats(self, segment: str) -> bool:
        return segment in self._repeating

    def places(self, segment: str) -> int | None:
        """How often it may stand in a message at most; None where it, or a group around it, may repeat."""
        if segment in self._in_repeating or segment not in self.order:
            return None
        return self.order.count(segment)

    def has_segment(self, segment: str) -> bool:
        """Whether the version knows it; a Z-segment is the facility's own affair."""
        return segment.startswith("Z") or (segment in self._segments and segment not in self._left_out)

    def leave_out(self, segments: Iterable[str]) -> None:
        """Has nothing written into segments that have no place in the message, though the version knows them."""
        self._left_out = frozenset(segments)

    def has_field(self, segment: str, number: int) -> bool:
        last = max(*self._fields(segment), _SENT_ANYHOW.get(segment, 0), 0)
        return segment.startswith("Z") or number <= last

    def field_repeats(self, segment: str, number: int) -> bool:
        field = self._fields(segment).get(number)
        return field is not None and field[2][1] not in (0, 1)

    def is_required(self, segment: str, number: int) -> bool:
        field = self._fields(segment).get(number)
        return field is not None and field[2][0] > 0

    def begins_with_its_number(self, segment: str) -> bool:
        """Whether the first field is a Set ID, which counts the segments."""
        return self.datatype(segment, 1) == "SI"

    def datatype(self, segment: str, number: int) -> str:
        """`XPN` of PID-5; empty where the version does not know the field."""
        field = self._fields(segment).get(number)
        return str(field[1][2] or "") if field is not None else ""

    def codes(self, segment: str, number: int) -> frozenset[str]:
        """The codes that HL7's table of a field lists; empty where it has no table, or one without codes."""
        field = self._fields(segment).get(number)
        return _codes(field[1][4]) if field is not None and field[1][4] else frozenset()

    def title(self, segment: str, number: int) -> str:
        """`patient name` of PID-5; empty where the version does not know the field."""
        field = self._fields(segment).get(number)
        return str(field[1][3] or "").replace("_", " ").lower() if field is not None else ""

    def _fields(self, segment: str) -> Mapping[int, Any]:
        """By their numbers: a version lists no field that it has withdrawn."""
        return _numbered(self._version, segment)


@lru_cache(maxsize=1024)
def _numbered(version: str, segment: str) -> Mapping[int, Any]:
    segments = _library(version).SEGMENTS
    listed = segments[segment][1] if segment in segments else ()
    numbered = ((field[0].rpartition("_")[2], field) for field in listed)
    return {int(number): field for number, field in numbered if number.isdecimal()}


@lru_cache(maxsize=1024)
def _codes(table: str) -> frozenset[str]:
    """As the usual version has it: not every version has its tables here, and tables only grow."""
    _, codes = import_module(_TABLES).TABLES.get(table, ("", ()))
    return frozenset(codes)


@lru_cache(maxsize=16)
def _library(version: str) -> Any:
    return load_library(version if version in SUPPORTED_LIBRARIES else _USUAL_VERSION)


class _Leaf(NamedTuple):
    """A segment in its place: whether it may repeat there, and whether a group around it may."""

    name: str
    repeats: bool
    in_repeating: bool


def _leaves(reference: Any, in_repeating: bool = False) -> Iterator[_Leaf]:
    """The segments of a structure in their order."""
    if reference is None:
        return
    for name, inner, (_, most), kind in reference[1]:
        repeats = most not in (0, 1)
        if kind == "SEG":
            yield _Leaf(name, repeats, in_repeating)
        else:
            yield from _leaves(inner, in_repeating or repeats)
