"""Which resource most likely takes a field that no row reads? The one that its segment's group makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from engine.mapping.definition import Group
from engine.mapping.draft.describing import UNKNOWN, Described
from engine.mapping.draft.survey import Survey


def waiting(each: Survey) -> Iterator[tuple[str, Described]]:
    """The fields that no row reads, each with the resource that most likely takes it."""
    counting = numbers(each.columns)
    owners = _owners_of(each)
    for column in each.columns:
        if column.known == UNKNOWN and column.field not in counting:
            yield owners.get(column.field.partition("-")[0], "Patient"), column


def numbers(columns: Sequence[Described]) -> list[str]:
    """First fields of Z-segments that merely count the segments."""
    return [
        column.field
        for column in columns
        if column.field.startswith("Z") and column.field.endswith("-1") and column.known == UNKNOWN and column.counts
    ]


def _owners_of(each: Survey) -> dict[str, str]:
    if each.definition is None:
        assert each.shape is not None
        groups = {g.name: Group(g.name, g.inside or None, g.starts, tuple(g.holds)) for g in each.shape.groups}
        return _owners(groups, {}, [(entry.group, entry.resource) for entry in each.shape.resources])
    entries = each.definition.resources
    made = [(entry.group, entry.resource) for entry in entries if not entry.says_more]
    needed = {entry.needs[0]: entry.resource for entry in reversed(entries) if len(entry.needs) == 1}
    return {**_owners(each.definition.groups, each.held, made), **needed}


def _owners(
    groups: Mapping[str, Group], held: Mapping[str, Sequence[str]], made: Iterable[tuple[str, str]]
) -> dict[str, str]:
    """The resource that most likely takes the fields of a segment: the first one that its group makes.

    Else the first that a group inside it makes: RGS stands around what is booked, ORC around what is prescribed.
    """
    resources: dict[str, str] = {}
    for name, resource in made:
        resources.setdefault(name, resource)
    owners: dict[str, str] = {}
    for name, group in groups.items():
        found = resources.get(name) or _made_inside(name, groups, resources)
        for segment in (*group.segments, *held.get(name, ())) if found else ():
            owners.setdefault(segment, found)
    return owners


def _made_inside(name: str, groups: Mapping[str, Group], resources: Mapping[str, str]) -> str:
    for inner, group in groups.items():
        if group.inside == name and (found := resources.get(inner) or _made_inside(inner, groups, resources)):
            return found
    return ""
