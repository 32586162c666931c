"""What do the mappings make of the samples as they stand? The codes that no table lists, and the findings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from engine.codecs.er7 import Message
from engine.errors import HutongError
from engine.finding import Finding, Severity
from engine.mapping.definition import Definition, FieldName, Rule
from engine.mapping.loader import Loaded
from engine.mapping.mapped import Context
from engine.mapping.mapping_set import MappingSet
from engine.mapping.untimed import untimed
from engine.terminology import Row, Table, Tables
from engine.terminology.table import fold

_UNLISTED = frozenset({"code-unmapped", "unit-unmapped"})
"""The findings that a table does not list something; their text names it."""
_AT = datetime(2026, 4, 1, tzinfo=UTC)
_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?-(\d+)(?:\[(\d+)\])?")
_ROW = re.compile(r"\{rule: (?:[^{}\"]|\"[^\"]*\")*\}")


@dataclass(frozen=True)
class _Listening(Table):
    """A table that notes the codes it was asked for and does not list."""

    missed: set[str] = field(default_factory=set)

    def find(self, code: str) -> Row | None:
        row = super().find(code)
        if row is None:
            self.missed.add(fold(code))
        return row


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A code that a table does not list, the words beside it, and the field it was met in."""

    code: str
    words: str
    field: str


@dataclass(frozen=True, slots=True)
class Met:
    """A finding that the samples have: what it is of, how often, and the rows that its text names as a way out."""

    mapping: str
    code: str
    field: str
    rule: str
    text: str
    rows: tuple[str, ...]


@dataclass(slots=True)
class Trial:
    """What came of all samples.

    unlisted  by table, the codes and units of the samples that it does not list
    met       the findings to settle, and in how many messages
    mapped    messages by mapping
    """

    unlisted: dict[str, Counter[Unlisted]] = field(default_factory=dict)
    met: Counter[Met] = field(default_factory=Counter)
    mapped: Counter[str] = field(default_factory=Counter)


def tried_on(messages: Iterable[Message], loaded: Loaded, facility: str) -> Trial:
    """Maps each message as the facility's; one that cannot be mapped says so in its finding."""
    tables = loaded.tables.get(facility, loaded.tables[""])
    listening = {name: _Listening(name, tables[name].rows) for name in tables.names()}
    mappings = MappingSet(Loaded(loaded.definitions, {**loaded.tables, facility: Tables(listening)}))
    trial = Trial()
    for message in messages:
        mapping = mappings.find(message.message_type, facility)
        if mapping is None:
            continue
        trial.mapped[mapping.name] += 1
        try:
            mapped = mapping.apply(message, Context(facility, facility, "test", _AT))
        except HutongError as error:
            location, rule = error.location or "", error.rule or ""
            trial.met[Met(mapping.name, error.code, _field(location), rule, error.message, ())] += 1
            continue
        findings = [*mapped.findings, *untimed(message, mapped.resources)]
        for finding in findings:
            if finding.code in _UNLISTED:
                rules = [each for each in _rules(mapping.definition) if each.id == finding.rule]
                _note(finding, rules, message, listening, trial)
        trial.met.update({_met(mapping.name, each) for each in findings if each.severity != Severity.INFORMATION})
    return trial


def _met(mapping: str, finding: Finding) -> Met:
    rows = tuple(_ROW.findall(finding.text))
    return Met(mapping, finding.code, _field(finding.location or ""), finding.rule or "", finding.text, rows)


def _field(location: str) -> str:
    """`SCH-12` of `SCH[2]-12[1].1`."""
    place = _PLACE.match(location)
    return f"{place[1]}-{place[3]}" if place is not None else location


def _rules(definition: Definition) -> Iterator[Rule]:
    for entry in definition.resources:
        yield from entry.rules


def _note(
    finding: Finding, rules: Iterable[Rule], message: Message, tables: Mapping[str, _Listening], trial: Trial
) -> None:
    """The code is where the finding says, or in another field of its row; its table was asked for it in vain."""
    for found in _codes(finding.location or "", [name for rule in rules for name in rule.fields], message):
        for name, table in tables.items():
            if fold(found.code) in table.missed and f" table {name} " in finding.text:
                trial.unlisted.setdefault(name, Counter())[found] += 1
                return


def _codes(location: str, fields: Iterable[FieldName], message: Message) -> Iterator[Unlisted]:
    place = _PLACE.match(location)
    segments = [each for each in message.segments if place is not None and each.name == place[1]]
    nth = int(place[2] or 1) - 1 if place is not None else 0
    if place is None or nth >= len(segments):
        return
    segment, repetition = segments[nth], int(place[4] or 1) - 1
    here = dict.fromkeys([int(place[3]), *(name.number for name in fields if name.segment == segment.name)])
    for number in here:
        repetitions = segment.repetitions(number) if number < len(segment.fields) else []
        for raw in repetitions[repetition : repetition + 1]:
            parts = [segment.unescape(each).strip() for each in segment.components(raw)]
            yield Unlisted(parts[0], parts[1] if len(parts) > 1 else "", f"{segment.name}-{number}")


__all__ = ["Met", "Trial", "Unlisted", "tried_on"]
