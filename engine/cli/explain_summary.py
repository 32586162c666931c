"""What would become of many messages? Counted, before each of them is told: how many are held, and what was found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from engine.finding import Severity
from engine.understanding import Understood

MOST_FIELDS = 20
"""Unmapped fields that are named, the most frequent."""
_INDEX = re.compile(r"\[\d+\]")
_ORDER = list(Severity)[::-1]


def in_numbers(walks: Iterable[Understood]) -> Iterator[str]:
    """Lines: the messages, each cause of a finding with how often and in how many messages, and what nothing maps."""
    messages = held = 0
    resources, fields = Counter[str](), Counter[str]()
    found, met_in = Counter[tuple[int, str]](), Counter[tuple[int, str]]()
    for walk in walks:
        messages += 1
        held += walk.holds
        resources.update(resource["resourceType"] for resource in walk.resources)
        fields.update(walk.unmapped)
        causes = [_cause(f.severity, f.code, f.location, f.rule) for f in walk.findings]
        found.update(causes)
        met_in.update(set(causes))
    yield f"{messages} messages: {messages - held} would be recorded, {held} held"
    if resources:
        yield f"resources: {', '.join(f'{number} {name}' for name, number in sorted(resources.items()))}"
    if found:
        yield "findings, by cause:"
    for (severity, cause), times in sorted(found.items(), key=lambda each: (each[0][0], -each[1], each[0][1])):
        number = met_in[severity, cause]
        yield f"  {times:>5}  {_ORDER[severity]}: {cause}  ({number} {'message' if number == 1 else 'messages'})"
    if fields:
        named = ", ".join(f"{name} ({number})" for name, number in fields.most_common(MOST_FIELDS))
        yield f"unmapped: {named}{' …' if len(fields) > MOST_FIELDS else ''}"


def _cause(severity: Severity, code: str, location: str | None, rule: str | None) -> tuple[int, str]:
    place = " ".join(part for part in (_INDEX.sub("", location or ""), rule and f"rule {rule}") if part)
    return _ORDER.index(severity), f"{code} {place}".rstrip()
