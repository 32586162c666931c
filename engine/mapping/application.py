"""How does one message become resources? The jobs of its plan, done one after another."""

from __future__ import annotations

from itertools import compress
from typing import Any

from engine.codecs.er7 import Message
from engine.errors import HutongError, MappingError
from engine.finding import Finding
from engine.mapping.compiled import EMPTY, CompiledRule, Fields, More, Rows, container
from engine.mapping.definition import Rule
from engine.mapping.mapped import Context, Mapped, Resource
from engine.mapping.places import Places
from engine.mapping.planning import Job, Plan
from engine.mapping.scope import Scope
from engine.mapping.sources import SourceTrail

_Refer = tuple[str, Any, str | None]
"""An element, the references it gets, and the part of its entries that holds them (None: the element itself)."""


class Application:
    """One mapping at work on one message."""

    __slots__ = (
        "_findings",
        "_frames",
        "_ids",
        "_made",
        "_mentioned",
        "_message",
        "_more",
        "_plan",
        "_references",
        "_refers",
        "_rows",
        "_scope",
        "_trail",
    )

    def __init__(
        self, plan: Plan, message: Message, rows: list[Fields], context: Context, trail: SourceTrail | None
    ) -> None:
        self._plan = plan
        self._message = message
        self._rows = [*rows, EMPTY]  # position -1, where a segment is missing
        self._scope = Scope(context, message.charset, message.payload)
        self._trail = trail
        self._findings: list[Finding] = []
        self._frames: list[Rows] = []
        self._more: list[More | None] = []
        self._ids: list[str | None] = []
        self._references: list[Resource | None] = []
        self._refers: list[list[_Refer] | None] = [None] * len(plan.refers)
        self._made: dict[str, Resource] = {}
        self._mentioned: list[str] = []

    def result(self) -> Mapped:
        """Identifies every resource first, so that each can refer to any other, then makes them."""
        for job in self._plan.jobs:
            identity = self._identify(job)
            self._ids.append(identity)
            self._references.append({"reference": job.resource.reference + identity} if identity is not None else None)
        for number, job in enumerate(self._plan.jobs):
            identity = self._ids[number]
            if identity is not None:
                self._make(job, identity, self._frames[number], self._more[number])
        for reference, mentioned in self._scope.mentioned.items():
            if reference not in self._made:
                self._made[reference] = mentioned
                self._mentioned.append(reference)
        return Mapped(
            list(self._made.values()),
            self._unmapped(),
            self._findings,
            frozenset(self._mentioned),
            self._trail.sources if self._trail is not None else [],
            frozenset(self._trail.ran) if self._trail is not None else frozenset(),
        )

    def _identify(self, job: Job) -> str | None:
        rows = self._rows
        frame = [rows[position] for position in job.rows]
        more = {place: [rows[at] for at in positions] for place, positions in job.more} if job.more else None
        self._frames.append(frame)
        self._more.append(more)
        within = (self._ids[job.within] or "") if job.within >= 0 else ""
        try:
            identity = job.resource.make_id(frame, within, self._scope)
        except Exception as error:  # a function met something nobody thought of: say where, hold the message
            raise self._failed(job, job.resource.rules.id, error) from error
        if self._scope.doubts:
            self._settle(job, job.resource.rules.id)
        if identity is None:
            if job.resource.rules.id.needed:
                raise self._not_identified(job)
            return None
        self._scope.ids.add(identity)
        if self._trail is not None:
            self._trail.ran.add(job.resource.rules.id)
        return identity

    def _make(self, job: Job, identity: str, frame: Rows, more: More | None) -> None:
        compiled, scope = job.resource, self._scope
        kind = compiled.rules.resource
        reference = compiled.reference + identity
        # What is said more goes into a copy: lists grow, so that each source knows its place in them.
        start = self._made.get(reference) if compiled.says_more else None
        resource: Resource = {**start} if start else {"resourceType": kind, "id": identity}
        try:
            compiled.run(frame, more, scope, resource)
            named = self._trail is None and not scope.doubts
        except Exception:  # noqa: BLE001  the rules run again, one by one, and the one that fails is named
            named = False
        if not named:
            resource = {**start} if start else {"resourceType": kind, "id": identity}
            self._run_one_by_one(job, frame, more, resource)
        if compiled.defaults:
            compiled.complete(resource)
        refers = self._refers[job.refers]
        if refers is None:
            refers = self._refers[job.refers] = self._references_of(job)
        for name, references, entry in refers:
            if entry is None and "." in name:
                container(resource, tuple(name.split(".")))[name.rpartition(".")[2]] = references
            elif entry is None:
                resource[name] = references
            else:
                resource[name] = _entries_with(resource.get(name) or [], entry, references)
        for needed in compiled.needed:
            if resource.get(needed.target) is None:
                raise self._missing(job, needed)
        if compiled.says_more:
            self._made[reference] = resource
            return
        if self._made.setdefault(reference, resource) is not resource:
            _merge(self._made[reference], resource)
            return
        if compiled.rules.only_if_missing:
            self._mentioned.append(reference)

    def _run_one_by_one(self, job: Job, frame: Rows, more: More | None, resource: Resource) -> None:
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
                self._trail.follow(compiled, resource, job.resource.segments, job.rows, extra, frame)
            self._settle(job, compiled.rule)

    def _references_of(self, job: Job) -> list[_Refer]:
        """The elements that refer to other resources; jobs of one group have the same ones."""
        elements: list[_Refer] = []
        for pointer in self._plan.refers[job.refers]:
            found = [known for number in pointer.targets if (known := self._references[number])]
            if found:
                if self._trail is not None:
                    self._trail.ran.add(pointer.rule)
                entry = pointer.rule.argument
                elements.append((pointer.name, found if pointer.many else found[0], entry))
            elif pointer.rule.needed:
                rule, made = pointer.rule, job.resource.rules
                text = f"there is no {rule.refer} that this {made.resource} could refer to"
                raise MappingError(text, location=self._location(job, made.id), rule=rule.id, code="not-identified")
        return elements

    def _unmapped(self) -> list[str]:
        """Each field once: what one OBX was found to hold is not looked for in the next."""
        found: dict[str, None] = {}
        narrowed: dict[tuple[str, int], list[bool]] = {}
        for segment, fields, unread in zip(self._message.segments, self._rows, self._plan.unread, strict=False):
            key = segment.name, id(unread)
            if any(compress(fields, narrowed.get(key, unread))):
                sought = narrowed.setdefault(key, [*unread])
                for number, raw in enumerate(fields[: len(sought)]):
                    if raw and sought[number]:
                        sought[number] = False
                        found[f"{segment.name}-{number}"] = None
        return list(found)

    def _places(self) -> Places:
        return Places([segment.name for segment in self._message.segments])

    def _location(self, job: Job, rule: Rule) -> str:
        return self._places().of_rule(rule, job.resource.segments, job.rows)

    def _settle(self, job: Job, rule: Rule) -> None:
        """The doubts of a rule become findings with their place; the scope has none afterwards."""
        if not self._scope.doubts:
            return
        field = self._location(job, rule)
        for doubt in self._scope.doubts:
            location = f"{field}[{doubt.repetition + 1}].{doubt.component}" if doubt.component else field
            self._findings.append(Finding(doubt.code, doubt.text, doubt.severity, location, rule.id))
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

    def _missing(self, job: Job, needed: CompiledRule) -> MappingError:
        location = self._location(job, needed.rule)
        text = f"{job.resource.rules.resource}.{needed.rule.to} needs {location}, which says nothing that can be read"
        return MappingError(text, location=location, rule=needed.rule.id, code="required-missing")


def _entries_with(entries: list[Resource], part: str, references: list[Resource]) -> list[Resource]:
    """A list whose last entry gets the reference that it lacks; further references get entries of their own."""
    first, *rest = references
    if entries and part not in entries[-1]:
        return [*entries[:-1], {part: first, **entries[-1]}, *({part: each} for each in rest)]
    return [*entries, *({part: each} for each in references)]


_CHOICES = ("deceased", "effective", "multipleBirth", "occurrence", "value")
"""Elements of which a resource has one type only: `deceasedBoolean` or `deceasedDateTime`."""


def _is_said_otherwise(name: str, resource: Resource) -> bool:
    return any(name.startswith(choice) and any(said.startswith(choice) for said in resource) for choice in _CHOICES)


def _merge(first: Resource, again: Resource) -> None:
    """Two groups that make the same resource: what the first says stays, lists grow, the rest is added."""
    for name, value in again.items():
        already = first.get(name)
        if already is None:
            if not _is_said_otherwise(name, first):
                first[name] = value
        elif isinstance(already, list) and isinstance(value, list):
            first[name] = [*already, *(each for each in value if each not in already)]
