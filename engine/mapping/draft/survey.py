"""What do the samples of one mapping say? What each column holds, which rows read it, and what nobody reads yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.mapping.definition import Definition, Rule
from engine.mapping.draft.describing import UNKNOWN, Described, described, holds_codes
from engine.mapping.draft.moving import Moved, moved
from engine.mapping.draft.profile import Column, Profile
from engine.mapping.draft.shape import Shape, shape_of_messages
from engine.mapping.draft.shifting import Shift
from engine.mapping.functions.codes import FLAGS
from engine.mapping.grouping import grouped
from engine.mapping.lens.structures import Structure
from engine.terminology import Tables

_NUMBERED = ("PID", "NK1", "PV1", "OBR", "OBX", "NTE", "DG1", "AL1", "GT1", "IN1", "SPM", "PR1", "TQ1")


@dataclass(frozen=True, slots=True)
class Survey:
    """The samples of one type, or of the types that one mapping takes.

    definition  the mapping that takes them; None where none does, and then there is a shape
    moved       known rows as they have to be where a segment is shifted
    columns     every field of the samples
    held        Z-segments and others that no group of the mapping takes, by the group they follow
    unlisted    codes that the table of a row does not list, with how often each was met
    tables      by field, the table of the row that reads it
    """

    message_types: tuple[str, ...]
    profile: Profile
    structure: Structure
    definition: Definition | None
    shape: Shape | None
    shifts: tuple[Shift, ...]
    moved: tuple[Moved, ...]
    columns: tuple[Described, ...]
    held: Mapping[str, Sequence[str]]
    unlisted: Mapping[str, Mapping[str, int]]
    tables: Mapping[tuple[str, int], str]

    @property
    def name(self) -> str:
        return self.definition.name if self.definition is not None else self.message_types[0].replace("^", "_")


def survey(
    message_types: tuple[str, ...],
    profile: Profile,
    definition: Definition | None,
    known: Sequence[Definition],
    tables: Tables,
    shifted: tuple[Shift, ...],
    *,
    keep_values: bool,
) -> Survey:
    structure = structure_of(message_types[0], profile)
    shape = None if definition is not None else shape_of_messages(profile, known)
    changes = dict(moved(definition, shifted)) if definition is not None else {}
    rules = [_stands_for(rule, changes) for rule in _rules_of(definition, shape, changes)]
    read = [rule for rule in rules if rule is not None]
    readers = _readers(read, definition, structure)
    columns = tuple(
        described(*key, column, structure, tables, readers.get(key, UNKNOWN), keep_values=keep_values)
        for key, column in sorted(profile.columns.items(), key=lambda item: _place(item[0], profile))
        if key[0] != "MSH"
    )
    return Survey(
        message_types,
        profile,
        structure,
        definition,
        shape,
        shifted,
        tuple(changes.values()),
        columns,
        _held(profile, definition) if definition is not None else {},
        _unlisted(read, profile, tables, structure),
        {
            (name.segment, name.number): rule.table
            for rule in read
            for name in rule.sources[:1]
            if rule.table is not None and name.component is None
        },
    )


def structure_of(message_type: str, profile: Profile) -> Structure:
    """What HL7 says of these messages, in the version that most of them name."""
    return Structure(message_type, profile.versions.most_common(1)[0][0])


def _stands_for(rule: Rule, changes: Mapping[Rule, Moved]) -> Rule | None:
    return changes[rule].rule if rule in changes else rule


def _rules_of(definition: Definition | None, shape: Shape | None, changes: Mapping[Rule, Moved]) -> Iterator[Rule]:
    """All but those of a resource that is taken out with its id."""
    for entry in definition.resources if definition is not None else ():
        if entry.id not in changes or changes[entry.id].rule is not None:
            yield from (entry.id, *entry.rules)
    for resource in shape.resources if shape is not None else ():
        yield from resource.rules


def _readers(rules: Iterable[Rule], definition: Definition | None, structure: Structure) -> dict[tuple[str, int], str]:
    """By field, the rows that read it, or why none does."""
    readers: dict[tuple[str, int], list[str]] = {}
    for rule in rules:
        for name in rule.fields:
            named = readers.setdefault((name.segment, name.number), [])
            if rule.id not in named:
                named.append(rule.id)
    found = {key: ", ".join(names) for key, names in readers.items()}
    for left, reason in (definition.not_mapped if definition is not None else {}).items():
        segment, _, number = left.partition("-")
        if "." in number:  # a component of a field that is read
            continue
        for at in [int(number)] if number else range(1, 100):
            found.setdefault((segment, at), f"({reason})")
    if definition is None:
        found |= {("EVN", at): "(kept on the envelope)" for at in range(1, 10)}
    for segment in _NUMBERED:
        if structure.begins_with_its_number(segment):
            found.setdefault((segment, 1), "(number of the segment)")
    return found


def _place(key: tuple[str, int], profile: Profile) -> tuple[int, str, int]:
    """In the order in which the segments stand in the commonest message."""
    order = profile.shapes.most_common(1)[0][0] if profile.shapes else ()
    return (order.index(key[0]) if key[0] in order else len(order), *key)


def _unlisted(
    rules: Iterable[Rule], profile: Profile, tables: Tables, structure: Structure
) -> dict[str, dict[str, int]]:
    """Codes of the samples that the tables of the rows do not list."""
    found: dict[str, dict[str, int]] = {}
    for rule in rules:
        for name in rule.sources[:1] if rule.table is not None else ():
            column = profile.columns.get((name.segment, name.number), Column())
            if name.component is None and holds_codes(name.segment, name.number, column, structure):
                table = tables[rule.table or ""]
                foreign = table.fallback is None and all(table.find(value) is None for value in column.values)
                if foreign and table.name != FLAGS:
                    continue  # a table of procedures or the like that this sender's codes have nothing to do with
                for value, count in column.values.items():
                    if table.find(value) is None:
                        found.setdefault(table.name, {})[value] = count
    return found


def _held(profile: Profile, definition: Definition) -> dict[str, list[str]]:
    """Segments that no group of the mapping takes, by the group they follow in the first message that has them."""
    held: dict[str, list[str]] = {}
    taken: set[str] = set()
    for names in profile.shapes:
        _, owners = grouped(names, definition.groups)
        group = ""
        for name, owner in zip(names, owners, strict=True):
            if owner is not None:
                group = owner.group.name
            elif name not in taken and group and name not in definition.not_mapped:
                taken.add(name)
                held.setdefault(group, []).append(name)
    return held


def without(each: Survey, rows: Iterable[Moved]) -> Survey:
    """The same with some of the rows that were moved taken out: as they are known they would read something else."""
    left = set(rows)
    return replace(each, moved=tuple(replace(row, rule=None) if row in left else row for row in each.moved))
