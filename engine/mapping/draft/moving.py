"""Which rows read a shifted segment as this sender writes it? The known rows, with the fields in which it stands.

All of them, also those of fields that the samples leave empty: the next message fills them. The row that makes an id
goes with those whose resource it makes: moved as they are, taken out where nothing is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.mapping.definition import Definition, FieldName, ResourceRules, Rule
from engine.mapping.draft.shifting import Shift
from engine.mapping.row_text import row_of

MESSAGE_HEADER = "MSH"
_FIRST_OF_SEVERAL = "patient_id"
"""Takes the first of its fields that says a number: in place of one that is sent nowhere it may look at another again.

Left as it is, it would take what stands there now, a name perhaps, for the number of the patient."""
UNSENT = 999
"""Stands for a field that is sent nowhere, in a row that reads several: no segment has so many."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A known row as it has to be for this sender; `rule` is None where what it reads is not sent at all."""

    resource: str
    id: str
    rule: Rule | None

    @property
    def segments(self) -> frozenset[str]:
        return frozenset(name.segment for name in self.rule.fields) if self.rule is not None else frozenset()

    @property
    def row(self) -> str:
        return row_of(self.rule) if self.rule is not None else f"{{rule: {self.id}, remove: yes}}"


def moved(definition: Definition, shifts: Sequence[Shift]) -> Iterator[tuple[Rule, Moved]]:
    """Known rows that read a shifted field, and what stands for each."""
    by_segment = {shift.segment: shift for shift in shifts}
    seen: set[tuple[str, str]] = set()
    for entry in definition.resources:
        if _is_unsent(entry.id, by_segment) and not _is_referred_to(entry, definition):
            yield entry.id, Moved(entry.resource, entry.id.id, None)
            continue
        for rule in (entry.id, *entry.rules):
            key = entry.resource, rule.id
            changed = _moved(rule, by_segment)
            if key not in seen and changed != rule:
                seen.add(key)
                yield rule, Moved(entry.resource, rule.id, changed)


def _is_unsent(made_of: Rule, by_segment: Mapping[str, Shift]) -> bool:
    """Whether an id is made of fields alone that are sent nowhere: then there is none."""
    read = [name for name in made_of.fields if name.segment != MESSAGE_HEADER]
    return bool(read) and all(_place(name, by_segment) is None for name in read)


def _is_referred_to(entry: ResourceRules, definition: Definition) -> bool:
    """Whether others speak of what it makes, and nothing else makes one: then its id stays, and is made of nothing."""
    others = [each for each in definition.resources if each is not entry]
    if any(each.resource == entry.resource and not each.says_more for each in others):
        return False
    return any(
        each.within == entry.resource or any(rule.refer == entry.resource for rule in each.rules) for each in others
    )


def _moved(rule: Rule, by_segment: Mapping[str, Shift]) -> Rule | None:
    sources = [_place(name, by_segment) for name in rule.sources]
    otherwise = tuple(found for name in rule.otherwise if (found := _place(name, by_segment)) is not None)
    if rule.to and not rule.needed and sources[:1] == [None]:
        if not otherwise:
            return None
        sources, otherwise = [otherwise[0]], otherwise[1:]
    standing = next((name for name in sources if name is not None), None)
    if rule.function == _FIRST_OF_SEVERAL and standing is not None:
        sources = [name if name is not None else standing for name in sources]
    kept = tuple(
        place if place is not None else replace(name, number=UNSENT)
        for name, place in zip(rule.sources, sources, strict=True)
    )
    if (kept, otherwise) == (rule.sources, rule.otherwise):
        return rule
    return replace(rule, sources=kept, otherwise=otherwise, both=False, writes=())


def _place(name: FieldName, by_segment: Mapping[str, Shift]) -> FieldName | None:
    shift = by_segment.get(name.segment)
    number = shift.place_of(name.number) if shift is not None else name.number
    return replace(name, number=number) if number else None
