"""What is to be done with a message of this shape? Which resources are made of which segments, and what they refer to.

The shape is the order of the segments' names; a mapping plans once for each and remembers the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import add, itemgetter
from typing import NamedTuple

from engine.mapping.compiled import CompiledResource
from engine.mapping.definition import Definition, Rule
from engine.mapping.flags import FlaggedRows, Flags
from engine.mapping.frame import Fields, Frame, segments_at
from engine.mapping.grouping import Instance, grouped
from engine.mapping.places import Places
from engine.mapping.registry import ID_FUNCTIONS
from engine.mapping.straight import Fill, Identify
from engine.mapping.unread import UnreadFields, UnreadRows
from engine.mapping.unread_parts import LeftOfSegment, PartlyRead
from engine.mapping.untold import Teller, Telling, telling
from engine.terminology import Tables

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
    """One resource to be made in a message of this shape; much of it is the resource's, at hand for the fast path.

    number   its place among the jobs
    prefix   what stands before its id in a reference to it
    needed   elements without which it cannot be
    rows     position of the segment for each place of the frame; -1 where there is none
    frame    takes the frame out of the rows of a message
    more     further segments of the same name, by place
    within   the job whose id becomes part of this one's; -1: none
    refers   which of the plan's sets of references it has
    """

    number: int
    resource: CompiledResource
    kind: str
    prefix: str
    says_more: bool
    only_if_missing: bool
    needed: tuple[str, ...]
    identify: Identify
    fill: Fill
    rows: tuple[int, ...]
    frame: Callable[[Sequence[Fields]], Frame]
    more: tuple[tuple[int, tuple[int, ...]], ...]
    within: int
    refers: int


class Seldom(NamedTuple):
    """Jobs that there are only where a field begins with one of a few texts: OBX-2 with ED or RP.

    positions  the segments that decide it
    """

    only: tuple[str, ...]
    number: int
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a shape of message asks for.

    jobs    those of outer groups first
    usual   the same without those that `seldom` is about
    refers  the distinct sets of references; jobs of one group share theirs
    unread  which fields nobody reads
    rest    fields of which only components are read and at which no rule looks, with what takes out their segments
    flags   which results say how they compare with their range
    tellings  groups that nobody would miss if nothing were made of them
    blanks  by segment, as many empty fields as any rule looks at; the last ones stand for a segment that is missing
    """

    jobs: tuple[Job, ...]
    usual: tuple[Job, ...]
    seldom: tuple[Seldom, ...]
    refers: tuple[tuple[Pointer, ...], ...]
    unread: UnreadRows
    rest: tuple[tuple[Callable[[list[Fields]], Sequence[Fields]], LeftOfSegment], ...]
    flags: FlaggedRows
    tellings: tuple[Telling, ...]
    blanks: tuple[list[str], ...]

    def filled_up(self, rows: Sequence[Fields]) -> list[Fields]:
        """The rows of a message, each at least as long as any rule looks; at position -1 a segment that is missing."""
        blanks = self.blanks
        long = list(map(add, rows, blanks))
        long.append(blanks[-1])
        return long

    def jobs_of(self, rows: Sequence[Fields]) -> tuple[Job, ...]:
        """The jobs that a message may need."""
        for only, number, positions in self.seldom:
            for text in {rows[at][number] for at in positions}:
                if text.startswith(only):
                    return self.jobs
        return self.usual


class Planner:
    """Plans for the shapes of one mapping's messages."""

    def __init__(
        self, definition: Definition, resources: Sequence[CompiledResource], tables: Tables, partly: PartlyRead
    ) -> None:
        self._groups = definition.groups
        self._resources = resources
        self._unread = UnreadFields(definition)
        self._partly = partly
        self._flags = Flags(definition, tables)
        widths = self._unread.widths
        self._blanks = {name: [""] * width for name, width in widths.items()}
        self._missing = [""] * max(widths.values(), default=1)

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
        takers = [owner.group.name if owner else "" for owner in owners]
        return Plan(
            jobs=jobs,
            usual=tuple(job for job in jobs if _decided_by(job) is None),
            seldom=_seldom(jobs),
            refers=tuple(refers),
            unread=UnreadRows(self._unread.of(*each) for each in zip(takers, names, strict=True)),
            rest=tuple(self._rest(list(zip(takers, names, strict=True)))),
            flags=self._flags.of(names, takers),
            tellings=tuple(filter(None, (_telling(each, made, jobs, names) for each in root.all_inside()))),
            blanks=(*(self._blanks.get(name, []) for name in names), self._missing),
        )

    def _rest(
        self, segments: Sequence[tuple[str, str]]
    ) -> Iterator[tuple[Callable[[list[Fields]], Sequence[Fields]], LeftOfSegment]]:
        alike: dict[tuple[str, str], list[int]] = {}
        for at, each in enumerate(segments):
            alike.setdefault(each, []).append(at)
        for each, positions in alike.items():
            if (left := self._partly.rest(*each)) is not None:
                yield segments_at(positions), left


def _telling(instance: Instance, made: _Made, jobs: Sequence[Job], names: Sequence[str]) -> Telling | None:
    """Of the group that is the message itself nothing is asked: it has no segment that begins it."""
    begun = [position for name in instance.group.starts for position in instance.segments.get(name, ())]
    if not begun:
        return None
    places = Places(names)
    own = [jobs[number] for numbers in made.get(id(instance), {}).values() for number in numbers]
    ids = [(job, job.resource.rules.id) for job in own]
    return telling(
        min(begun),
        (
            Teller(job.number, job.kind, rule, places.of_rule(rule, job.resource.segments, job.rows))
            for job, rule in ids
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
    rows = tuple(found[0] if found else -1 for found in positions)
    more = tuple((place, tuple(found[1:])) for place, found in enumerate(positions) if len(found) > 1)
    return Job(
        number=number,
        resource=resource,
        kind=resource.rules.resource,
        prefix=f"{resource.rules.resource}/",
        says_more=resource.rules.says_more,
        only_if_missing=resource.rules.only_if_missing,
        needed=tuple(each.target for each in resource.needed),
        identify=resource.identify,
        fill=resource.fill(
            frozenset(resource.segments[place] for place, _ in more),
            frozenset(segment for segment, found in zip(resource.segments, positions, strict=True) if not found),
        ),
        rows=rows,
        frame=itemgetter(*(rows if len(rows) > 1 else (*rows, -1, -1))),  # of two or more it makes a tuple
        more=more,
        within=within,
        refers=refers.setdefault(tuple(_pointers(resource, instance, made)), len(refers)),
    )


def _decided_by(job: Job) -> tuple[tuple[str, ...], int, int] | None:
    """The texts with which a field must begin for this job, its number and its segment; None where there may be any."""
    rule = job.resource.rules.id
    only = ID_FUNCTIONS[rule.function or ""].only
    if not only or rule.needed:
        return None
    decides = rule.sources[0]
    return only, decides.number, job.rows[job.resource.segments.index(decides.segment)]


def _seldom(jobs: Iterable[Job]) -> tuple[Seldom, ...]:
    found: dict[tuple[tuple[str, ...], int], list[int]] = {}
    for only, number, position in filter(None, map(_decided_by, jobs)):
        found.setdefault((only, number), []).append(position)
    return tuple(Seldom(only, number, tuple(positions)) for (only, number), positions in found.items())


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
