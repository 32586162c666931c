"""How does one message become resources? The jobs of its plan, done one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.codecs.er7 import Message
from engine.errors import HutongError, MappingError
from engine.finding import Finding
from engine.mapping.definition import ResourceRules, Rule
from engine.mapping.elements import put
from engine.mapping.frame import Fields, Frame, More
from engine.mapping.joining import entries_with, merge
from engine.mapping.mapped import Context, Mapped, Resource
from engine.mapping.places import Places
from engine.mapping.planning import Job, Plan
from engine.mapping.scope import THE_ROW, Scope
from engine.mapping.sources import SourceTrail
from engine.mapping.untold import untold


class _Refers:
    """What a set of references comes to in this message.

    elements  by name, those that stand in the resource itself
    deeper    path and reference of those that stand within another element
    entries   name of a list, the part of its entries that holds a reference, the references
    """

    __slots__ = ("deeper", "elements", "entries")

    def __init__(self) -> None:
        self.elements: Resource = {}
        self.deeper: list[tuple[tuple[str, ...], Any]] = []
        self.entries: list[tuple[str, str, list[Resource]]] = []

    def put_deeper(self, resource: Resource) -> None:
        for path, found in self.deeper:
            put(resource, path, found)
        for name, part, those in self.entries:
            resource[name] = entries_with(resource.get(name) or [], part, those)


def _in_some_type(resource: Resource, name: str) -> bool:
    """Whether an element that may be of several types, `effective[x]`, is there in one of them."""
    stem = name.removesuffix("[x]")
    return stem != name and any(each.startswith(stem) for each in resource)


class Application:
    """One mapping at work on one message."""

    __slots__ = (
        "_findings",
        "_given",
        "_ids",
        "_jobs",
        "_made",
        "_mentioned",
        "_plan",
        "_present",
        "_references",
        "_refers",
        "_rows",
        "_scope",
        "_trail",
    )

    def __init__(
        self, plan: Plan, message: Message, rows: Sequence[Fields], context: Context, trail: SourceTrail | None
    ) -> None:
        self._plan = plan
        self._given = rows
        self._rows = plan.filled_up(rows)
        self._jobs = plan.jobs_of(self._rows)
        self._scope = Scope(context, message.charset, message.payload)
        self._trail = trail
        self._findings: list[Finding] = []
        self._ids: list[str | None] = [None] * len(plan.jobs)
        self._ids.append("")  # at -1: of what a job is not within
        self._present: list[tuple[Job, Frame, str, str]] = []
        self._references: list[Resource | None] = [None] * len(plan.jobs)
        self._refers: list[_Refers | None] = [None] * len(plan.refers)
        self._made: dict[str, Resource] = {}
        self._mentioned: list[str] = []

    def result(self) -> Mapped:
        """Identifies every resource first, so that each can refer to any other, then makes them."""
        self._identify_all()
        self._make_all()
        for reference, mentioned in self._scope.mentioned.items():
            if reference not in self._made:
                self._made[reference] = mentioned
                self._mentioned.append(reference)
        self._findings.extend(self._plan.flags.findings(self._rows))
        self._findings.extend(untold(self._plan.tellings, self._rows, self._ids, self._findings))
        return Mapped(
            list(self._made.values()),
            self._unmapped(),
            self._findings,
            frozenset(self._mentioned),
            self._trail.sources if self._trail is not None else [],
            frozenset(self._trail.ran) if self._trail is not None else frozenset(),
            tuple(self._scope.acts),
        )

    def identities(self) -> list[tuple[ResourceRules, str | None]]:
        """What makes each resource and the id it has (None: it is not there), group after group; after `result`."""
        return [(job.resource.rules, identity) for job, identity in zip(self._plan.jobs, self._ids[:-1], strict=True)]

    def _unmapped(self) -> list[str]:
        unread, left_out, rows = self._plan.unread.filled(self._given), self._scope.left_out, self._rows
        for segments, left in self._plan.rest:
            if names := left.names(segments(rows)):
                left_out.update(dict.fromkeys(names))
        return [*dict.fromkeys((*unread, *left_out))] if left_out else unread

    def _identify_all(self) -> None:
        """Notes each resource that there is, with the frame of its segments, its id and the reference to it."""
        rows, scope, ids, references, present = self._rows, self._scope, self._ids, self._references, self._present
        given, doubts = scope.ids, scope.doubts
        for job in self._jobs:
            frame = job.frame(rows)
            try:
                identity = job.identify(frame, ids[job.within] or "", scope)
            except Exception as error:  # a function met something nobody thought of: say where, hold the message
                raise self._failed(job, job.resource.rules.id, error) from error
            if doubts:
                self._settle(job, job.resource.rules.id)
            if identity:
                reference = job.prefix + identity
                present.append((job, frame, identity, reference))
                ids[job.number] = identity
                references[job.number] = {"reference": reference}
                given.add(identity)
            elif identity is None and job.resource.rules.id.needed:
                raise self._not_identified(job)
        if self._trail is not None:
            self._trail.ran.update(job.resource.rules.id for job in self._jobs if ids[job.number] is not None)

    def _make_all(self) -> None:
        made, referring, scope = self._made, self._refers, self._scope
        doubts, acts, together = scope.doubts, scope.acts, self._trail is None
        for job, frame, identity, reference in self._present:
            already = made.get(reference)
            start = already if job.says_more else None
            resource: Resource = {"resourceType": job.kind, "id": identity} if start is None else {**start}
            certain = False
            if together:
                acted = len(acts)
                try:
                    job.fill(frame, self._more(job) if job.more else None, scope, resource)
                    certain = not doubts
                except Exception:  # noqa: BLE001  the rules run again, one by one, and the one that fails is named
                    certain = False
                if not certain:
                    del acts[acted:]
            if not certain:
                resource = self._filled_carefully(job, identity, frame, start)
            refers = referring[job.refers]
            if refers is None:
                refers = referring[job.refers] = self._references_of(job)
            resource |= refers.elements
            if refers.deeper or refers.entries:
                refers.put_deeper(resource)
            if self._trail is not None:
                pointers = [pointer.rule for pointer in self._plan.refers[job.refers]]
                self._trail.settle(resource, job.resource.compiled, pointers)
                before = {**already} if already is not None else {}
            for name in job.needed:
                if resource.get(name) is None and not _in_some_type(resource, name):
                    raise self._missing(job, name)
            if job.says_more:
                made[reference] = resource
            elif already is None:
                made[reference] = resource
                if job.only_if_missing:
                    self._mentioned.append(reference)
            else:
                merge(already, resource)
            if self._trail is not None:
                self._trail.keep(resource, before, made[reference])

    def _filled_carefully(self, job: Job, identity: str, frame: Frame, start: Resource | None) -> Resource:
        """The resource with all that the rules give, where they could not run together or each is to be followed."""
        resource = {"resourceType": job.kind, "id": identity} if start is None else {**start}
        if self._trail is not None:
            self._trail.begins(resource)
        self._run_one_by_one(job, frame, self._more(job), resource)
        return resource

    def _more(self, job: Job) -> More:
        return {place: [self._rows[at] for at in positions] for place, positions in job.more}

    def _run_one_by_one(self, job: Job, frame: Frame, more: More, resource: Resource) -> None:
        """Runs the rules so that each doubt, failure and source can be said to be the rule's."""
        extra = dict(job.more)
        self._scope.doubts.clear()
        self._scope.repetition = 0
        for compiled in job.resource.compiled:
            try:
                compiled.run(frame, more, self._scope, resource)
            except HutongError:
                raise
            except Exception as error:  # a function met something nobody thought of: say where, hold the message
                raise self._failed(job, compiled.rule, error) from error
            if self._trail is not None:
                segments = job.resource.segments
                self._trail.follow(compiled, resource, segments, job.rows, extra, frame, more, self._scope)
            self._settle(job, compiled.rule)
        job.resource.complete(resource)

    def _references_of(self, job: Job) -> _Refers:
        """The elements that refer to other resources; jobs of one group have the same ones."""
        refers = _Refers()
        for pointer in self._plan.refers[job.refers]:
            found = list(filter(None, map(self._references.__getitem__, pointer.targets)))
            # Several entries of a mapping may say something of one resource: then there are fewer ids than jobs.
            if len(found) > 1 and len(self._scope.ids) < len(self._present):
                found = list({each["reference"]: each for each in found}.values())
            if found:
                if self._trail is not None:
                    self._trail.ran.add(pointer.rule)
                if pointer.rule.argument is not None:
                    refers.entries.append((pointer.name, pointer.rule.argument, found))
                    continue
                value = found if pointer.many else found[0]
                if "." in pointer.name:
                    refers.deeper.append((tuple(pointer.name.split(".")), value))
                else:
                    refers.elements[pointer.name] = value
            elif pointer.rule.needed:
                rule, made = pointer.rule, job.resource.rules
                text = f"there is no {rule.refer} that this {made.resource} could refer to"
                raise MappingError(text, location=self._location(job, made.id), rule=rule.id, code="not-identified")
        return refers

    def _location(self, job: Job, rule: Rule) -> str:
        names = [row[0] for row in self._rows[:-1]]
        return Places(names).of_rule(rule, job.resource.segments, job.rows)

    def _settle(self, job: Job, rule: Rule) -> None:
        """The doubts of a rule become findings with their place; the scope has none afterwards."""
        if not self._scope.doubts:
            return
        field = self._location(job, rule)
        for doubt in self._scope.doubts:
            location = f"{field}[{doubt.repetition + 1}].{doubt.component}" if doubt.component else field
            text = doubt.text.replace(THE_ROW, rule.id)
            self._findings.append(Finding(doubt.code, text, doubt.severity, location, rule.id, doubt.once))
        self._scope.doubts.clear()

    def _failed(self, job: Job, rule: Rule, error: Exception) -> MappingError:
        location = self._location(job, rule)
        text = f"rule {rule.id} cannot take what stands in {location} ({type(error).__name__})"
        return MappingError(text, location=location, rule=rule.id)

    def _not_identified(self, job: Job) -> MappingError:
        rule = job.resource.rules.id
        location = self._location(job, rule)
        text = f"nothing in {location} says which {job.resource.rules.resource} this is"
        return MappingError(text, location=location, rule=rule.id, code="not-identified")

    def _missing(self, job: Job, element: str) -> MappingError:
        rule = next(each.rule for each in job.resource.needed if each.target == element)
        location = self._location(job, rule)
        text = f"{job.resource.rules.resource}.{rule.to} needs {location}, which says nothing that can be read"
        return MappingError(text, location=location, rule=rule.id, code="required-missing")
