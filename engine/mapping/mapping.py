"""What does a message become? One compiled mapping, applied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import compress

from engine.codecs.er7 import Message
from engine.codecs.er7_header import USUAL
from engine.errors import HutongError, MappingError
from engine.finding import Finding
from engine.mapping.compiled import (
    EMPTY,
    CompiledResource,
    CompiledRule,
    Fields,
    More,
    Reference,
    Rows,
    compile_resource,
    container,
)
from engine.mapping.definition import Definition, Rule
from engine.mapping.grouping import Instance, grouped
from engine.mapping.mapped import Context, Mapped, Resource
from engine.mapping.places import Places
from engine.mapping.scope import Scope
from engine.mapping.sources import SourceTrail
from engine.mapping.usual import with_usual_separators
from engine.terminology import Tables

LIMIT_PLANS = 2048
"""Distinct orders of segments that are remembered; a feed has some dozens."""
LIMIT_FIELDS = 256
"""Fields beyond this one are not looked for; no segment of any version has half as many."""


@dataclass(frozen=True, slots=True)
class _Pointer:
    """A reference rule of one job: the jobs it points to, each with what stands before its id in a reference."""

    reference: Reference
    name: str
    nested: bool
    many: bool
    targets: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class _Job:
    """One resource to be made in a message of this shape.

    rows     position of the segment for each place of the frame; -1 where there is none
    more     further segments of the same name, by place
    within   the job whose id becomes part of this one's; -1: none
    refers   what its reference rules point to, where they point anywhere
    """

    resource: CompiledResource
    rows: tuple[int, ...]
    more: tuple[tuple[int, tuple[int, ...]], ...]
    within: int
    refers: tuple[_Pointer, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done with every message of one shape: the jobs, and which fields of each segment nobody reads."""

    jobs: tuple[_Job, ...]
    unread: tuple[tuple[bool, ...], ...]


class Mapping:
    """One mapping file, with its facility's changes, ready to be applied."""

    def __init__(self, definition: Definition, facility: str, tables: Tables) -> None:
        self.definition = definition
        self.name = definition.name
        self.version = definition.version
        self.facility = facility
        self.digest = _digest(definition, tables)
        self.label = f"{self.name}@{self.version}+{self.digest}"
        self._resources = [compile_resource(rules, facility, tables) for rules in definition.resources]
        self._read = _fields_read(definition)
        self._plans: dict[tuple[str, ...], _Plan] = {}

    def apply(self, message: Message, context: Context, *, with_sources: bool = False) -> Mapped:
        """Makes the resources of a message.

        Findings are what a person should look at; the resources beside them are good. Raises MappingError, which names
        rule and field, when the message can become nothing that is right: it is held.
        """
        segments = message.segments
        names = tuple([segment.name for segment in segments])
        plan = self._plans.get(names) or self._remember(names)
        rows: list[Fields] = [segment.fields for segment in segments]
        if message.separators != USUAL:
            rows = [with_usual_separators(segment) for segment in segments]
        scope = Scope(context, message.charset, message.payload)
        trail = SourceTrail(message, self.version) if with_sources else None
        findings: list[Finding] = []
        frames: list[tuple[Rows, More | None]] = []
        ids: list[str | None] = []
        for job in plan.jobs:
            frame = [rows[position] if position >= 0 else EMPTY for position in job.rows]
            more = {place: [rows[at] for at in positions] for place, positions in job.more} if job.more else None
            frames.append((frame, more))
            ids.append(self._id(job, frame, ids, scope, names, findings))
        resources: list[Resource] = []
        made: dict[str, Resource] = {}
        only_if_missing: list[str] = []
        for job, identity, (frame, more) in zip(plan.jobs, ids, frames, strict=True):
            if identity is None:
                continue
            compiled = job.resource
            kind = compiled.rules.resource
            resource: Resource = {"resourceType": kind, "id": identity}
            run = None
            try:
                for run in compiled.runs:
                    run(frame, more, scope, resource)
            except HutongError:
                raise
            except Exception as error:  # a function met something nobody thought of: say where, hold the message
                raise _failed(
                    job, compiled.compiled[compiled.runs.index(run)] if run else None, names, error
                ) from error
            if scope.doubts or trail is not None:
                resource = {"resourceType": kind, "id": identity}
                self._run_slowly(job, frame, more, scope, resource, Places(names), findings, trail)
            if job.refers:
                _refer(job, resource, ids, names)
            for needed in compiled.needed:
                if needed.target not in resource:
                    raise _missing(job, needed, names)
            reference = f"{kind}/{identity}"
            if reference in made:
                _merge(made[reference], resource)
                continue
            made[reference] = resource
            if compiled.rules.only_if_missing:
                only_if_missing.append(reference)
            resources.append(resource)
        for reference, mentioned in scope.mentioned.items():
            if reference not in made:
                resources.append(mentioned)
                only_if_missing.append(reference)
        if not resources:
            starts = next(group.starts[0] for group in self.definition.groups.values() if group.starts)
            text = f"the message has no {starts}, so there is nothing to record of it"
            raise MappingError(text, location=starts, rule=self.name, code="nothing-mapped")
        unmapped = [
            name
            for at, (fields, unread) in enumerate(zip(rows, plan.unread, strict=True))
            if any(compress(fields, unread))
            for name in _unmapped(names[at], fields, unread)
        ]
        return Mapped(
            resources,
            list(dict.fromkeys(unmapped)),
            findings,
            frozenset(only_if_missing),
            trail.sources if trail is not None else [],
        )

    def _id(
        self,
        job: _Job,
        frame: Rows,
        ids: Sequence[str | None],
        scope: Scope,
        names: Sequence[str],
        findings: list[Finding],
    ) -> str | None:
        within = (ids[job.within] or "") if job.within >= 0 else ""
        try:
            identity = job.resource.make_id(frame, within, scope)
        except Exception as error:  # as above
            raise _failed(job, None, names, error) from error
        if scope.doubts:
            findings.extend(_settled(scope, job.resource.rules.id, job, Places(names)))
        if identity is None:
            rule = job.resource.rules.id
            if rule.needed:
                location = Places(names).of_rule(rule, job.resource.segments, job.rows)
                text = f"nothing in {location} says which {job.resource.rules.resource} this is"
                raise MappingError(text, location=location, rule=rule.id, code="not-identified")
            return None
        scope.ids.add(f"{job.resource.rules.resource}/{identity}")
        return identity

    def _run_slowly(
        self,
        job: _Job,
        frame: Rows,
        more: More | None,
        scope: Scope,
        resource: Resource,
        places: Places,
        findings: list[Finding],
        trail: SourceTrail | None,
    ) -> None:
        """Runs the rules once more, one by one, to say which rule and which field each doubt belongs to."""
        extra = dict(job.more)
        for compiled in job.resource.compiled:
            scope.doubts.clear()
            compiled.run(frame, more, scope, resource)
            if trail is not None:
                trail.follow(compiled, resource, job.resource.segments, job.rows, extra, frame)
            findings.extend(_settled(scope, compiled.rule, job, places))

    def _remember(self, names: tuple[str, ...]) -> _Plan:
        if len(self._plans) >= LIMIT_PLANS:
            self._plans.clear()
        plan = self._plans[names] = self._plan(names)
        return plan

    def _plan(self, names: tuple[str, ...]) -> _Plan:
        root, owners = grouped(names, self.definition.groups)
        instances = list(root.all_inside())
        made: dict[int, dict[str, list[int]]] = {}
        listed: list[tuple[CompiledResource, Instance]] = []
        for instance in instances:
            for resource in self._resources:
                if resource.rules.group != instance.group.name:
                    continue
                if any(not instance.positions(segment) for segment in resource.rules.needs):
                    continue
                made.setdefault(id(instance), {}).setdefault(resource.rules.resource, []).append(len(listed))
                listed.append((resource, instance))
        jobs = []
        for resource, instance in listed:
            positions = [instance.positions(segment) for segment in resource.segments]
            within = _nearest(instance, resource.rules.within, made) if resource.rules.within else ()
            jobs.append(
                _Job(
                    resource=resource,
                    rows=tuple(found[0] if found else -1 for found in positions),
                    more=tuple((place, tuple(found[1:])) for place, found in enumerate(positions) if len(found) > 1),
                    within=within[0] if within else -1,
                    refers=tuple(_pointers(resource, instance, made)),
                )
            )
        unread = tuple(
            self._read.get((owner.group.name if owner else "", name), _ALL_UNREAD)
            for name, owner in zip(names, owners, strict=True)
        )
        return _Plan(tuple(jobs), unread)


_ALL_UNREAD = (False, *(True for _ in range(LIMIT_FIELDS)))


def _nearest(instance: Instance, resource: str, made: dict[int, dict[str, list[int]]]) -> tuple[int, ...]:
    """The jobs of a resource in the nearest group that makes it, from here outwards."""
    for around in instance.outwards():
        found = made.get(id(around), {}).get(resource)
        if found:
            return tuple(found[:1])
    return ()


def _pointed_to(
    instance: Instance, resource: str, many: bool, made: dict[int, dict[str, list[int]]]
) -> tuple[int, ...]:
    """What a reference points to: the nearest outwards; all inside for a list; beside it one that stands alone."""
    inside = [number for each in instance.all_inside() for number in made.get(id(each), {}).get(resource, ())]
    if many:
        return tuple(inside) or _nearest(instance, resource, made)
    direct = _nearest(instance, resource, made)
    if direct:
        return direct
    if len(inside) == 1:
        return tuple(inside)
    around = instance.outer
    if around is None or inside:
        return ()
    beside = [number for each in around.all_inside() for number in made.get(id(each), {}).get(resource, ())]
    return tuple(beside) if len(beside) == 1 else ()


def _pointers(
    compiled: CompiledResource, instance: Instance, made: dict[int, dict[str, list[int]]]
) -> Iterator[_Pointer]:
    for reference in compiled.references:
        rule = reference.rule
        numbers = _pointed_to(instance, rule.refer or "", rule.many, made)
        if numbers or rule.needed:
            targets = tuple((f"{rule.refer}/", number) for number in numbers)
            yield _Pointer(reference, reference.path[-1], len(reference.path) > 1, rule.many, targets)


def _refer(job: _Job, resource: Resource, ids: Sequence[str | None], names: Sequence[str]) -> None:
    for pointer in job.refers:
        found = [{"reference": kind + identity} for kind, number in pointer.targets if (identity := ids[number])]
        if found:
            target = container(resource, pointer.reference.path) if pointer.nested else resource
            target[pointer.name] = found if pointer.many else found[0]
        elif pointer.reference.rule.needed:
            rule, made = pointer.reference.rule, job.resource.rules
            text = f"there is no {rule.refer} that this {made.resource} could refer to"
            location = Places(names).of_rule(made.id, job.resource.segments, job.rows)
            raise MappingError(text, location=location, rule=rule.id, code="not-identified")


def _merge(first: Resource, again: Resource) -> None:
    """Two groups that make the same resource: what the first says stays, lists grow, the rest is added."""
    for name, value in again.items():
        already = first.get(name)
        if already is None:
            first[name] = value
        elif isinstance(already, list) and isinstance(value, list):
            already.extend(each for each in value if each not in already)


def _fields_read(definition: Definition) -> dict[tuple[str, str], tuple[bool, ...]]:
    """For each group and segment: which fields no rule reads and nobody left out on purpose."""
    read: dict[tuple[str, str], set[int]] = {}
    for group in definition.groups.values():
        for segment in group.segments:
            if segment in definition.not_mapped:
                read[group.name, segment] = set(range(LIMIT_FIELDS + 1))
                continue
            left_out = {int(left.partition("-")[2]) for left in definition.not_mapped if left.startswith(f"{segment}-")}
            read[group.name, segment] = left_out
    for resources in definition.resources:
        for rule in (resources.id, *resources.rules):
            for name in rule.fields:
                inside: str | None = resources.group
                while inside is not None:
                    group = definition.groups[inside]
                    if name.segment in group.segments:
                        read[inside, name.segment].add(name.number)
                        break
                    inside = group.inside
    table = {
        key: (False, *(number not in fields for number in range(1, LIMIT_FIELDS + 1))) for key, fields in read.items()
    }
    for left in definition.not_mapped:
        if "-" not in left:
            table["", left] = (False,) * (LIMIT_FIELDS + 1)
    return table


def _unmapped(segment: str, fields: Fields, unread: tuple[bool, ...]) -> list[str]:
    return [f"{segment}-{number}" for number, raw in enumerate(fields[: len(unread)]) if raw and unread[number]]


def _settled(scope: Scope, rule: Rule, job: _Job, places: Places) -> list[Finding]:
    """The doubts of a rule as findings with their place; the scope has none afterwards."""
    field = places.of_rule(rule, job.resource.segments, job.rows)
    findings = [
        Finding(
            doubt.code,
            doubt.text,
            doubt.severity,
            f"{field}[{doubt.repetition + 1}].{doubt.component}" if doubt.component else field,
            rule.id,
        )
        for doubt in scope.doubts
    ]
    scope.doubts.clear()
    return findings


def _failed(job: _Job, compiled: CompiledRule | None, names: Sequence[str], error: Exception) -> MappingError:
    rule = compiled.rule if compiled is not None else job.resource.rules.id
    location = Places(names).of_rule(rule, job.resource.segments, job.rows)
    return MappingError(
        f"rule {rule.id} cannot take what stands in {location} ({type(error).__name__})",
        location=location,
        rule=rule.id,
    )


def _missing(job: _Job, needed: CompiledRule, names: Sequence[str]) -> MappingError:
    location = Places(names).of_rule(needed.rule, job.resource.segments, job.rows)
    text = f"{job.resource.rules.resource}.{needed.rule.to} needs {location}, which says nothing that can be read"
    return MappingError(text, location=location, rule=needed.rule.id, code="required-missing")


def _digest(definition: Definition, tables: Tables) -> str:
    """Six characters that differ when any rule, or any table a rule names, differs."""
    digest = blake2b(digest_size=3)
    digest.update(repr(definition).encode())
    for name in tables.names():
        digest.update(
            repr((name, sorted((key, sorted(row.items())) for key, row in tables[name].rows.items()))).encode()
        )
    return digest.hexdigest()
