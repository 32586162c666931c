"""What would be different of one message? Its resources element by element, its findings, and who is told of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from engine.codecs import fhir_json
from engine.envelope import Envelope
from engine.finding import Finding, Severity
from engine.replay.pairing import ABSENT, Leaf, differing
from engine.replay.summary import Example, Kind, What
from engine.replay.world import World
from engine.understanding import Understood

Resource = dict[str, Any]
Change = tuple[Kind, Example]

_INDEX = re.compile(r"\[\d+\]")


class Difference:
    """Compares two configurations, message by message. It remembers which rule says which element."""

    def __init__(self, running: World, changed: World) -> None:
        self._running = running
        self._changed = changed
        self._rules: dict[tuple[bool, str, str], str] = {}
        self._routing_differs = running.routing != changed.routing

    def of(self, envelope: Envelope) -> list[Change]:
        """Everything that would change; empty when nothing would."""
        if self._running.ruled_by(envelope) == self._changed.ruled_by(envelope):
            if not self._routing_differs:
                return []
            same = self._running.understand(envelope)
            return list(self._owed(same, same))
        before, after = self._running.understand(envelope), self._changed.understand(envelope)
        changes = [*_held(before, after), *_findings(before, after)]
        if not before.holds and not after.holds:
            changes += self._resources(before, after)
            changes += [*_acts(before, after), *_fields(before, after)]
        changes += self._owed(before, after)
        return changes

    def _resources(self, before: Understood, after: Understood) -> Iterator[Change]:
        if fhir_json.dumps(before.resources) == fhir_json.dumps(after.resources):
            return
        envelope = before.envelope
        had, has = _by_reference(before), _by_reference(after)
        for reference in had.keys() | has.keys():
            resource_type = reference[0].partition("/")[0]
            if reference not in had:
                yield Kind(What.NEW_RESOURCE, resource_type), example(envelope, reference[0], "", reference[0])
            elif reference not in has:
                yield Kind(What.VANISHED_RESOURCE, resource_type), example(envelope, reference[0], reference[0])
            else:
                yield from self._elements(envelope, reference[0], had[reference], has[reference])

    def _elements(self, envelope: Envelope, reference: str, had: Resource, has: Resource) -> Iterator[Change]:
        for leaf in differing(had, has):
            yield self.of_leaf(What.CHANGED, envelope, reference, leaf)

    def of_leaf(self, what: What, envelope: Envelope, reference: str, leaf: Leaf) -> Change:
        """An element that differs, with the rules that say it on each side."""
        where = f"{reference.partition('/')[0]}.{_INDEX.sub('', leaf.path)}"
        old = self._rule(envelope, where, reference, leaf.before, running=True) if leaf.was is not ABSENT else ""
        new = self._rule(envelope, where, reference, leaf.after, running=False) if leaf.becomes is not ABSENT else ""
        return Kind(what, where, old, new), example(envelope, reference, _written(leaf.was), _written(leaf.becomes))

    def _rule(self, envelope: Envelope, where: str, reference: str, path: str, *, running: bool) -> str:
        """The rule that says an element; empty for what a mapping says without a field.

        The record may hold an entry of a list at another place than the message does.
        """
        key = (running, envelope.message_type, where)
        if key not in self._rules:
            world = self._running if running else self._changed
            told = world.understand(envelope, with_sources=True)
            said = [source for source in told.sources if source.resource == reference]
            found = [source.rule for source in said if _covers(source.path, path)] or [
                source.rule for source in said if _covers(_INDEX.sub("", source.path), _INDEX.sub("", path))
            ]
            self._rules[key] = found[0] if found else ""
        return self._rules[key]

    def _owed(self, before: Understood, after: Understood) -> Iterator[Change]:
        envelope = before.envelope
        owed, owes = Counter(self._running.owes(before)), Counter(self._changed.owes(after))
        for to in (owes - owed) if not before.holds else ():
            yield Kind(What.OWED, to), example(envelope)
        for to in (owed - owes) if not after.holds else ():
            yield Kind(What.NOT_OWED, to), example(envelope)


def example(envelope: Envelope, resource: str = "", before: str = "", after: str = "") -> Example:
    """`resource` is a reference, empty for what is no resource's."""
    return Example(envelope.id, before, after, (), envelope.message_type, envelope.control_id, resource)


def _held(before: Understood, after: Understood) -> Iterator[Change]:
    if after.holds and not before.holds:
        yield Kind(What.HELD, _reasons(after)), example(before.envelope)
    elif before.holds and not after.holds:
        yield Kind(What.RELEASED, _reasons(before)), example(before.envelope)


def _reasons(understood: Understood) -> str:
    return ", ".join(sorted({_place(f) for f in understood.findings if f.severity is Severity.ERROR}))


def _acts(before: Understood, after: Understood) -> Iterator[Change]:
    """What a message states of persons, visits and numbers besides its resources."""
    envelope = before.envelope
    for act in [act for act in after.acts if act not in before.acts]:
        yield Kind(What.NEW_ACT, f"{act.doing} {_INDEX.sub('', act.location)}"), example(envelope, act.of, "", act.of)
    for act in [act for act in before.acts if act not in after.acts]:
        yield Kind(What.VANISHED_ACT, f"{act.doing} {_INDEX.sub('', act.location)}"), example(envelope, act.of, act.of)


def _findings(before: Understood, after: Understood) -> Iterator[Change]:
    """What holds on one side only is told as such."""
    envelope = before.envelope
    told = before.holds != after.holds
    had, has = (
        {_kind_of(finding) for finding in walk.findings if not (told and finding.severity is Severity.ERROR)}
        for walk in (before, after)
    )
    for severity, where, rule in sorted(has - had):
        yield Kind(What.NEW_FINDING, f"{severity} {where}", "", rule), example(envelope)
    for severity, where, rule in sorted(had - has):
        yield Kind(What.VANISHED_FINDING, f"{severity} {where}", rule, ""), example(envelope)


def _kind_of(finding: Finding) -> tuple[str, str, str]:
    return str(finding.severity), _place(finding), finding.rule or ""


def _place(finding: Finding) -> str:
    return f"{finding.code} {_INDEX.sub('', finding.location or '')}".strip()


def _fields(before: Understood, after: Understood) -> Iterator[Change]:
    envelope = before.envelope
    for name in sorted(set(before.unmapped) - set(after.unmapped)):
        yield Kind(What.MAPPED, name), example(envelope)
    for name in sorted(set(after.unmapped) - set(before.unmapped)):
        yield Kind(What.UNMAPPED, name), example(envelope)


def _by_reference(understood: Understood) -> dict[tuple[str, int], Resource]:
    """Each resource by its reference, and by how often the message said it before."""
    often: Counter[str] = Counter()
    found: dict[tuple[str, int], Resource] = {}
    for resource in understood.resources:
        reference = f"{resource['resourceType']}/{resource['id']}"
        found[reference, often[reference]] = resource
        often[reference] += 1
    return found


def _written(value: Any) -> str:
    """A value as it is shown; empty for none."""
    return "" if value is ABSENT else value if isinstance(value, str) else fhir_json.dumps(value).decode()


def _covers(source: str, path: str) -> bool:
    return path == source or path.startswith((f"{source}.", f"{source}["))
