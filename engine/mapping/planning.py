"""What is to be done with a message of this shape? Which resources are made of which segments, and what they refer to.

The shape is the order of the segments' names; a mapping plans once for each and remembers the plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.mapping.compiled import CompiledResource
from engine.mapping.definition import Definition, Rule
from engine.mapping.grouping import Instance, grouped

LIMIT_FIELDS = 256
"""Fields beyond this one are not looked for; no segment of any version has half as many."""

Unread = tuple[bool, ...]
"""By the number of the field: whether no rule reads it and nobody left it out on purpose."""
_ALL_UNREAD: Unread = (False, *(True for _ in range(LIMIT_FIELDS)))

_Made = dict[int, dict[str, list[int]]]
"""Jobs by the group they belong to and the resource they make."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """A reference rule of one job, and the jobs it points to."""

    rule: Rule
    name: str
    many: bool
    targets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """One resource to be made in a message of this shape.

    rows     position of the segment for each place of the frame; -1 where there is none
    more     further segments of the same name, by place
    within   the job whose id becomes part of this one's; -1: none
    refers   which of the plan's sets of references it has
    """

    resource: CompiledResource
    rows: tuple[int, ...]
    more: tuple[tuple[int, tuple[int, ...]], ...]
    within: int
    refers: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a shape of message asks for.

    jobs    those of outer groups first
    refers  the distinct sets of references; jobs of one group share theirs
    unread  by segment, which fields nobody reads
    """

    jobs: tuple[Job, ...]
    refers: tuple[tuple[Pointer, ...], ...]
    unread: tuple[Unread, ...]


class Planner:
    """Plans for the shapes of one mapping's messages."""

    def __init__(self, definition: Definition, resources: Sequence[CompiledResource]) -> None:
        self._groups = definition.groups
        self._resources = resources
        self._unread = _unread(definition)

    def plan(self, names: Sequence[str]) -> Plan:
        root, owners = grouped(names, self._groups)
        made: _Made = {}
        listed: list[tuple[CompiledResource, Instance]] = []
        for instance in root.all_inside():
            for resource in self._resources:
                if resource.rules.group == instance.group.name and _has_what_it_needs(resource, instance):
                    made.setdefault(id(instance), {}).setdefault(resource.rules.resource, []).append(len(listed))
                    listed.append((resource, instance))
        refers: dict[tuple[Pointer, ...], int] = {}
        jobs = tuple(_job(number, *each, made, refers) for number, each in enumerate(listed))
        return Plan(
            jobs=jobs,
            refers=tuple(refers),
            unread=tuple(
                self._unread.get((owner.group.name if owner else "", name), _ALL_UNREAD)
                for name, owner in zip(names, owners, strict=True)
            ),
        )


def _has_what_it_needs(resource: CompiledResource, instance: Instance) -> bool:
    return all(instance.positions(segment) for segment in resource.rules.needs)


def _job(
    number: int,
    resource: CompiledResource,
    instance: Instance,
    made: _Made,
    refers: dict[tuple[Pointer, ...], int],
) -> Job:
    positions = [instance.positions(segment) for segment in resource.segments]
    within = _around(number, instance, resource.rules.within, made) if resource.rules.within else -1
    return Job(
        resource=resource,
        rows=tuple(found[0] if found else -1 for found in positions),
        more=tuple((place, tuple(found[1:])) for place, found in enumerate(positions) if len(found) > 1),
        within=within,
        refers=refers.setdefault(tuple(_pointers(resource, instance, made)), len(refers)),
    )


def _pointers(resource: CompiledResource, instance: Instance, made: _Made) -> Iterator[Pointer]:
    for rule in resource.references:
        numbers = _pointed_to(instance, rule.refer or "", rule.many, made)
        if numbers or rule.needed:
            yield Pointer(rule, rule.to, rule.many, numbers)


def _around(number: int, instance: Instance, resource: str, made: _Made) -> int:
    """The job of a resource in the nearest group outwards that comes before this one; -1 where there is none."""
    for around in instance.outwards():
        for found in made.get(id(around), {}).get(resource, ()):
            if found < number:
                return found
    return -1


def _nearest(instance: Instance, resource: str, made: _Made) -> tuple[int, ...]:
    """The jobs of a resource in the nearest group that makes it, from here outwards."""
    for around in instance.outwards():
        found = made.get(id(around), {}).get(resource)
        if found:
            return tuple(found[:1])
    return ()


def _pointed_to(instance: Instance, resource: str, many: bool, made: _Made) -> tuple[int, ...]:
    """What a reference points to: the nearest outwards; all inside for a list; beside it one that stands alone.

    The first that there is counts: a resource that the nearest group could make may turn out not to be there.
    """
    inside = _inside(instance, resource, made)
    if many:
        return inside or _nearest(instance, resource, made)
    direct = _nearest(instance, resource, made)
    if not direct and inside:
        return inside if len(inside) == 1 else ()
    beside = _inside(instance.outer, resource, made) if instance.outer is not None else ()
    others = tuple(number for number in beside if number not in direct)
    return direct + others if len(others) == 1 else direct


def _inside(instance: Instance, resource: str, made: _Made) -> tuple[int, ...]:
    return tuple(number for each in instance.all_inside() for number in made.get(id(each), {}).get(resource, ()))


def _unread(definition: Definition) -> dict[tuple[str, str], Unread]:
    """By group and segment; the group is empty for a segment that no group holds."""
    read: dict[tuple[str, str], set[int]] = {}
    for group in definition.groups.values():
        for segment in group.segments:
            read[group.name, segment] = _left_out(definition, segment)
    for resources in definition.resources:
        for rule in (resources.id, *resources.rules):
            for name in rule.fields:
                holder = _holder(definition, resources.group, name.segment)
                read[holder, name.segment].add(name.number)
    for left in definition.not_mapped:
        if "-" not in left:
            read["", left] = _left_out(definition, left)
    return {
        key: (False, *(number not in fields for number in range(1, LIMIT_FIELDS + 1))) for key, fields in read.items()
    }


def _left_out(definition: Definition, segment: str) -> set[int]:
    if segment in definition.not_mapped:
        return set(range(LIMIT_FIELDS + 1))
    prefix = f"{segment}-"
    return {int(left.removeprefix(prefix)) for left in definition.not_mapped if left.startswith(prefix)}


def _holder(definition: Definition, group: str, segment: str) -> str:
    """The nearest group, from this one outwards, that a segment belongs to; checked when the mapping was loaded."""
    inside: str | None = group
    while inside is not None:
        if segment in definition.groups[inside].segments:
            return inside
        inside = definition.groups[inside].inside
    raise LookupError(segment)
