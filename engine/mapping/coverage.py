"""Which rows of HL7's v2-to-FHIR map do the loaded mappings fulfil? Found by trying, never by a list of what is done.

A row is fulfilled when a loaded rule reads its field and writes its element, and when the element, in the messages of
the mapping tests, is there because of that field. Where the same fact stands in another element on purpose,
`requirements/elsewhere.csv` names that element, which is tried in the same way. `requirements/left_out.csv` says why a
row is not fulfilled; where it does not, what the mappings say under `not_mapped` stands.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

from engine.envelope import Envelope
from engine.mapping.coverage_evidence import Asked, Fact, evidence, samples
from engine.mapping.coverage_rows import FOLDER, Row, read_rows
from engine.mapping.definition import Definition
from engine.mapping.mapped import FieldSource
from engine.mapping.mapping_set import MappingSet
from engine.mapping.registry import FUNCTIONS

ELSEWHERE = "elsewhere.csv"
LEFT_OUT = "left_out.csv"
ANY = "*"
"""In a line of the two files: every attribute of the field, every field of the map."""
SEGMENTS = (
    *("MSH", "EVN", "PID", "PD1", "NK1", "PV1", "PV2", "MRG", "ORC", "OBR", "OBX", "SPM", "NTE", "AL1", "IAM", "DG1"),
    *("PR1", "RXA", "RXE", "RXR", "RXO", "TXA", "AIG", "AIL", "AIP", "AIS", "SCH", "RGS", "IN1", "ROL", "PRT"),
    *("IPC", "ZDS"),
)
"""Those that the systems of a county send."""

_KEPT = {kind.__name__: {field.name for field in fields(kind)} for kind in (Envelope, FieldSource)}
"""What stands beside the records: with each message, and with each element that a rule wrote."""
_INDEX = re.compile(r"\[[^\]]*\]")
_STEP = re.compile(r"[A-Za-z]+")


_NOTED = frozenset({"Device", "Location", "Medication", "Organization", "Practitioner", "PractitionerRole"})
"""What functions make beside the resource of their rule."""


class State(StrEnum):
    MAPPED = "mapped"
    ELSEWHERE = "elsewhere"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Covered:
    """How one row stands. `says` is where its fact stands instead and why, or why it stands nowhere."""

    row: Row
    state: State
    says: str = ""


@dataclass(frozen=True, slots=True)
class SegmentCoverage:
    """How one segment stands; `mapped` and `elsewhere` are both fulfilled."""

    segment: str
    rows: tuple[Covered, ...]

    def count(self, state: State) -> int:
        return sum(each.state is state for each in self.rows)

    @property
    def percent(self) -> int:
        """Fulfilled rows in a hundred, rounded down; 100 where nothing is asked for."""
        fulfilled = len(self.rows) - self.count(State.MISSING)
        return 100 * fulfilled // len(self.rows) if self.rows else 100


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    map: str
    field: str
    attribute: str
    instead: str
    constant: str
    reason: str


@dataclass(frozen=True, slots=True)
class _LeftOut:
    map: str
    field: str
    attribute: str
    reason: str


def coverage(mappings: MappingSet, folder: Path, segments: Sequence[str] = SEGMENTS) -> list[SegmentCoverage]:
    """How each segment stands, tried with the messages of the tests below the mappings' folder."""
    rows = [row for row in read_rows(folder) if row.segment in segments]
    instead = [_Elsewhere(**line) for line in _lines(folder / FOLDER / ELSEWHERE)]
    reasons = [_LeftOut(**line) for line in _lines(folder / FOLDER / LEFT_OUT)]
    brought = evidence(mappings, list(samples(folder)), [_asked(row) for row in rows])
    tried = _Tried(mappings.definitions(), brought)
    found = [_covered(row, tried, instead, reasons) for row in rows]
    return [
        SegmentCoverage(segment, tuple(each for each in found if each.row.segment == segment)) for segment in segments
    ]


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _field(name: str) -> tuple[str, int]:
    segment, _, number = name.partition("-")
    return segment, int(number or 0)


def _asked(row: Row) -> Asked:
    return Asked(*_field(row.field), row.condition)


def _covered(row: Row, tried: _Tried, instead: Iterable[_Elsewhere], reasons: Iterable[_LeftOut]) -> Covered:
    if tried.stands(row, row.resource, row.attribute, row.constant):
        return Covered(row, State.MAPPED)
    for other in instead:
        if not _is_about(row, other.map, other.field, other.attribute):
            continue
        resource, _, attribute = other.instead.partition(".")
        if attribute in _KEPT.get(resource, ()) or tried.stands(row, resource, attribute, other.constant):
            return Covered(row, State.ELSEWHERE, f"{other.instead}: {other.reason}")
    for left in reasons:
        if _is_about(row, left.map, left.field, left.attribute):
            return Covered(row, State.MISSING, left.reason)
    return Covered(row, State.MISSING, tried.reason(row.field))


def _is_about(row: Row, map_: str, field: str, attribute: str) -> bool:
    return row.map == map_ and field in (row.field, ANY) and attribute in (row.attribute, ANY)


class _Tried:
    """The loaded rules, and what each field was seen to bring."""

    def __init__(self, definitions: Collection[Definition], brought: Mapping[Asked, frozenset[Fact]]) -> None:
        self._brought = brought
        self._written: dict[tuple[str, int], set[tuple[str, str]]] = {}
        self._left: dict[str, str] = {}
        for definition in definitions:
            for field, reason in definition.not_mapped.items():
                self._left.setdefault(field, reason)
            for resource in definition.resources:
                for rule in resource.rules:
                    several = rule.function is not None and FUNCTIONS[rule.function].elements
                    element = "" if several else rule.to.partition(".")[0].removesuffix("[x]").removesuffix("[0]")
                    for name in rule.fields:
                        self._written.setdefault((name.segment, name.number), set()).add((resource.resource, element))

    def stands(self, row: Row, resource: str, attribute: str, constant: str) -> bool:
        """Whether a rule reads the row's field and writes the element, and the element was seen to come of it."""
        facts = self._brought.get(_asked(row), frozenset())
        return any(
            self._is_written(_field(row.field), resource, path) and _is_among(facts, resource, path, constant)
            for path in _paths(attribute)
        )

    def _is_written(self, field: tuple[str, int], resource: str, path: str) -> bool:
        """Whether a rule that reads the field writes the element, or one of what the element refers to.

        A function that gives several elements may write any of its resource, and any function may note people, places
        and devices: what it does with the field, the trial shows.
        """
        if not field[1]:
            return True
        written = self._written.get(field, set())
        hops = [(resource, path.partition(">")[0]), *(hop.partition(".")[::2] for hop in path.split(">")[1:])]
        if resource in _NOTED:
            return bool(written)
        return any(
            kind == hop and (first is None or first[0].startswith(element))
            for hop, inner in hops
            for first in (_STEP.match(inner),)
            for kind, element in written
        )

    def reason(self, field: str) -> str:
        if self._written.get(_field(field)):
            return "read, but not for this"
        return self._left.get(field) or self._left.get(field[:3]) or "no rule reads it"


def _is_among(facts: Iterable[Fact], resource: str, path: str, constant: str) -> bool:
    return any(
        kind == resource
        and (not path or stands == path or stands.startswith((f"{path}.", f"{path}>")))
        and (not constant or value == constant)
        for kind, stands, value in facts
    )


def _paths(attribute: str) -> list[str]:
    """An attribute as the maps write it, as paths of facts; empty: the resource itself.

    `performer[2](PractitionerRole.organization(Organization.name))` is
    `performer>PractitionerRole.organization>Organization.name`; `who(Organization|Device)` are two.
    """
    plain = _INDEX.sub("", attribute).replace(" ", "").replace(".reference(", "(").replace(".(", "(")
    plain = plain.removeprefix("$this").replace("(", ">").replace(")", "")
    head, several, last = plain.rpartition(">")
    return [f"{head}{several}{each}" for each in last.split("|")]
