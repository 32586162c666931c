"""What does a put function know besides the element it is given? The resources around it, and the message made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from engine.codecs.er7 import Value
from engine.codecs.er7_escape import escape
from engine.codecs.er7_header import USUAL
from engine.mapping.mapped import Resource

Field = Value
"""What is to stand in a field: a text, a tuple of components (each a text or a tuple of subcomponents), or a list of
repetitions. Texts are plain; they are escaped when the message is written."""


class Back:
    """The resources that are written, and the message they become."""

    def __init__(self, resources: Iterable[Resource], message_type: str, version: str) -> None:
        self._by_reference: dict[str, Resource] = {}
        for resource in resources:
            self._by_reference.setdefault(f"{resource.get('resourceType')}/{resource.get('id')}", resource)
        self.message_type = message_type
        self.version = tuple(int(part) for part in version.split(".") if part.isdecimal())

    def resource(self, reference: Any) -> Resource:
        """The resource that a Reference points to; an empty one where it is not among those written."""
        return self._by_reference.get(target(reference), {})

    def of_type(self, kind: str) -> list[Resource]:
        """The resources of a kind, in their order."""
        return [each for each in self._by_reference.values() if each.get("resourceType") == kind]


def target(reference: Any) -> str:
    """`Practitioner/17` of a Reference, also of an absolute one; empty where it points to nothing."""
    text = reference.get("reference") if isinstance(reference, dict) else None
    return "/".join(text.split("/")[-2:]) if isinstance(text, str) else ""


def raw(value: Field) -> str:
    """A field as it stands between the usual separators."""
    repetitions = value if isinstance(value, list) else [value]
    return _joined(USUAL.repetition, [_repetition(each) for each in repetitions])


def _repetition(value: Any) -> str:
    if isinstance(value, tuple):
        return _joined(USUAL.component, [component(each) for each in value])
    return component(value)


def component(value: Any) -> str:
    """A component as it stands between the usual separators."""
    if isinstance(value, tuple):
        return _joined(USUAL.subcomponent, [escape(leaf, USUAL) for leaf in value])
    return escape(value, USUAL)


def _joined(separator: str, parts: Sequence[str]) -> str:
    last = max((position for position, part in enumerate(parts) if part), default=-1)
    return separator.join(parts[: last + 1])
