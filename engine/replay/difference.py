"""What would be different of one message? Its resources element by element, its findings, and who is told of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from engine.codecs import fhir_json
from engine.envelope import Envelope
from engine.finding import Finding, Severity
from engine.replay.summary import Example, Kind, What
from engine.replay.world import World
from engine.understanding import Understood

Resource = dict[str, Any]
Change = tuple[Kind, Example]

_INDEX = re.compile(r"\[\d+\]")
_ABSENT = object()


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
        envelope = before.envelope.id
        had, has = _by_reference(before), _by_reference(after)
        for reference in had.keys() | has.keys():
            resource_type = reference[0].partition("/")[0]
            if reference not in had:
                yield Kind(What.NEW_RESOURCE, resource_type), Example(envelope, "", reference[0])
            elif reference not in has:
                yield Kind(What.VANISHED_RESOURCE, resource_type), Example(envelope, reference[0], "")
            else:
                yield from self._elements(before, after, reference[0], had[reference], has[reference])

    def _elements(
        self, before: Understood, after: Understood, reference: str, had: Resource, has: Resource
    ) -> Iterator[Change]:
        then, now = dict(_leaves("", had)), dict(_leaves("", has))
        for path in sorted(then.keys() | now.keys()):
            was, becomes = then.get(path, _ABSENT), now.get(path, _ABSENT)
            if _same(was, becomes):
                continue
            where = f"{reference.partition('/')[0]}.{_INDEX.sub('', path)}"
            old = self._rule(before, where, reference, path, running=True) if was is not _ABSENT else ""
            new = self._rule(after, where, reference, path, running=False) if becomes is not _ABSENT else ""
            example = Example(before.envelope.id, _written(was), _written(becomes))
            yield Kind(What.CHANGED, where, old, new), example

    def _rule(self, understood: Understood, where: str, reference: str, path: str, *, running: bool) -> str:
        """The rule that says an element; empty for what a mapping says without a field."""
        key = (running, understood.mapping or "", where)
        if key not in self._rules:
            world = self._running if running else self._changed
            told = world.understand(understood.envelope, with_sources=True)
            found = [
                source.rule for source in told.sources if source.resource == reference and _covers(source.path, path)
            ]
            self._rules[key] = found[0] if found else ""
        return self._rules[key]

    def _owed(self, before: Understood, after: Understood) -> Iterator[Change]:
        envelope = before.envelope.id
        owed, owes = Counter(self._running.owes(before)), Counter(self._changed.owes(after))
        for to in (owes - owed) if not before.holds else ():
            yield Kind(What.OWED, to), Example(envelope)
        for to in (owed - owes) if not after.holds else ():
            yield Kind(What.NOT_OWED, to), Example(envelope)


def _held(before: Understood, after: Understood) -> Iterator[Change]:
    if after.holds and not before.holds:
        yield Kind(What.HELD, _reasons(after)), Example(before.envelope.id)
    elif before.holds and not after.holds:
        yield Kind(What.RELEASED, _reasons(before)), Example(before.envelope.id)


def _reasons(understood: Understood) -> str:
    return ", ".join(sorted({_place(f) for f in understood.findings if f.severity is Severity.ERROR}))


def _acts(before: Understood, after: Understood) -> Iterator[Change]:
    """What a message states of persons, visits and numbers besides its resources."""
    envelope = before.envelope.id
    for act in [act for act in after.acts if act not in before.acts]:
        yield Kind(What.NEW_ACT, f"{act.doing} {_INDEX.sub('', act.location)}"), Example(envelope, "", act.of)
    for act in [act for act in before.acts if act not in after.acts]:
        yield Kind(What.VANISHED_ACT, f"{act.doing} {_INDEX.sub('', act.location)}"), Example(envelope, act.of, "")


def _findings(before: Understood, after: Understood) -> Iterator[Change]:
    """What holds on one side only is told as such."""
    envelope = before.envelope.id
    told = before.holds != after.holds
    had, has = (
        {_kind_of(finding) for finding in walk.findings if not (told and finding.severity is Severity.ERROR)}
        for walk in (before, after)
    )
    for severity, where, rule in sorted(has - had):
        yield Kind(What.NEW_FINDING, f"{severity} {where}", "", rule), Example(envelope)
    for severity, where, rule in sorted(had - has):
        yield Kind(What.VANISHED_FINDING, f"{severity} {where}", rule, ""), Example(envelope)


def _kind_of(finding: Finding) -> tuple[str, str, str]:
    return str(finding.severity), _place(finding), finding.rule or ""


def _place(finding: Finding) -> str:
    return f"{finding.code} {_INDEX.sub('', finding.location or '')}".strip()


def _fields(before: Understood, after: Understood) -> Iterator[Change]:
    envelope = before.envelope.id
    for name in sorted(set(before.unmapped) - set(after.unmapped)):
        yield Kind(What.MAPPED, name), Example(envelope)
    for name in sorted(set(after.unmapped) - set(before.unmapped)):
        yield Kind(What.UNMAPPED, name), Example(envelope)


def _by_reference(understood: Understood) -> dict[tuple[str, int], Resource]:
    """Each resource by its reference, and by how often the message said it before."""
    often: Counter[str] = Counter()
    found: dict[tuple[str, int], Resource] = {}
    for resource in understood.resources:
        reference = f"{resource['resourceType']}/{resource['id']}"
        found[reference, often[reference]] = resource
        often[reference] += 1
    return found


def _leaves(path: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}" if path else name, inner)
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _leaves(f"{path}[{number}]", inner)
    else:
        yield path, value


def _same(left: Any, right: Any) -> bool:
    """To the digit: 5.1 and 5.10 are not the same result."""
    if left is _ABSENT or right is _ABSENT:
        return False
    return bool(left == right) and fhir_json.dumps(left) == fhir_json.dumps(right)


def _written(value: Any) -> str:
    return "" if value is _ABSENT else value if isinstance(value, str) else fhir_json.dumps(value).decode()


def _covers(source: str, path: str) -> bool:
    return path == source or path.startswith((f"{source}.", f"{source}["))
