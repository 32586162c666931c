"""Which rows read a shifted segment as this sender writes it? The known rows, with the fields in which it stands.

The row that makes an id goes with those whose resource it makes: moved as they are, taken out where nothing is left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.mapping.definition import Definition, FieldName, ResourceRules, Rule
from engine.mapping.draft.shifting import Shift
from engine.mapping.row_text import row_of

MESSAGE_HEADER = "MSH"
_FIRST_OF_SEVERAL = "patient_id"
"""Takes the first of its fields that says a number: in place of one that is sent nowhere it may look at another again.

Left as it is, it would take what stands there now, a name perhaps, for the number of the patient."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A known row as it has to be for this sender; `rule` is None where what it reads is not sent at all.

    misreads  whether the row as it is known would take something else for what it reads
    """

    resource: str
    id: str
    rule: Rule | None
    misreads: bool = field(default=False, compare=False)

    @property
    def segments(self) -> frozenset[str]:
        return frozenset(name.segment for name in self.rule.fields) if self.rule is not None else frozenset()

    @property
    def row(self) -> str:
        return row_of(self.rule) if self.rule is not None else f"{{rule: {self.id}, remove: yes}}"


def moved(
    definition: Definition, shifts: Sequence[Shift], filled: Collection[tuple[str, int]]
) -> Iterator[tuple[Rule, Moved]]:
    """Known rows that read a shifted field, and what stands for each: those that the samples give something.

    One that they give nothing is removed where it would read something else.
    """
    by_segment = {shift.segment: shift for shift in shifts}
    seen: set[tuple[str, str]] = set()
    for entry in definition.resources:
        if _is_never_sent(entry, by_segment, filled):
            read = _moved(entry.id, by_segment) if _is_referred_to(entry, definition) else None
            yield entry.id, Moved(entry.resource, entry.id.id, read)
            continue
        for rule in (entry.id, *entry.rules):
            key = entry.resource, rule.id
            if key in seen or not any(name.segment in by_segment for name in rule.fields):
                continue
            seen.add(key)
            changed = _moved(rule, by_segment)
            if changed == rule:
                continue
            shifted = [name for name in rule.sources if name.segment in by_segment]
            misreads = bool(rule.to) and not rule.needed and _is_filled(shifted[:1], filled)
            if changed is None or _is_filled((name for name in changed.fields if name.segment in by_segment), filled):
                yield rule, Moved(entry.resource, rule.id, changed, misreads)
            elif misreads:
                yield rule, Moved(entry.resource, rule.id, None)


def _is_never_sent(entry: ResourceRules, by_segment: Mapping[str, Shift], filled: Collection[tuple[str, int]]) -> bool:
    """Whether all that a resource is made of would be read from other fields, and the samples hold nothing of it.

    Its id is made of such fields alone, so that without them there is none.
    """
    made_of = {name for rule in (entry.id, *entry.rules) for name in rule.fields if name.segment != MESSAGE_HEADER}
    if not entry.id.sources or entry.says_more or any(name.segment not in by_segment for name in made_of):
        return False
    places = [_place(name, by_segment) for name in made_of]
    misreads = _is_filled(made_of, filled) and any(place not in made_of for place in places)
    return misreads and not _is_filled([place for place in places if place is not None], filled)


def _is_referred_to(entry: ResourceRules, definition: Definition) -> bool:
    """Whether others speak of what it makes, and nothing else makes one: then its id stays, and is made of nothing."""
    others = [each for each in definition.resources if each is not entry]
    if any(each.resource == entry.resource and not each.says_more for each in others):
        return False
    return any(
        each.within == entry.resource or any(rule.refer == entry.resource for rule in each.rules) for each in others
    )


def _is_filled(names: Iterable[FieldName], filled: Collection[tuple[str, int]]) -> bool:
    return any((name.segment, name.number) in filled for name in names)


def _moved(rule: Rule, by_segment: Mapping[str, Shift]) -> Rule | None:
    sources = [_place(name, by_segment) for name in rule.sources]
    otherwise = tuple(found for name in rule.otherwise if (found := _place(name, by_segment)) is not None)
    standing = next((name for name in sources if name is not None), None)
    if rule.function == _FIRST_OF_SEVERAL and standing is not None:
        sources = [name if name is not None else standing for name in sources]
    if None in sources:
        if sources[0] is None and rule.to:
            return None
        return rule  # a function of several fields needs each in its place: a person must look at it
    kept = tuple(name for name in sources if name is not None)
    if (kept, otherwise) == (rule.sources, rule.otherwise):
        return rule
    return replace(rule, sources=kept, otherwise=otherwise, both=False, writes=())


def _place(name: FieldName, by_segment: Mapping[str, Shift]) -> FieldName | None:
    shift = by_segment.get(name.segment)
    number = shift.place_of(name.number) if shift is not None else name.number
    return replace(name, number=number) if number else None
