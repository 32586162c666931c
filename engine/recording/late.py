"""What may an envelope change that runs after newer ones of its patients? Nothing that one of them has changed.

A message that is processed again, or that nothing mapped for a month, says what was true when it was sent. Of each
resource it changes the elements that no newer envelope and no person changed since; the others stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from uuid import UUID

from engine.identifiers import ID_CARD
from engine.store import versions
from engine.store.database import Connection
from engine.store.versions import Version
from engine.understanding import Understood

Resource = dict[str, Any]
_ALWAYS = frozenset({"resourceType", "id"})


@dataclass(frozen=True, slots=True)
class Late:
    """An envelope whose turn was before others that are recorded already.

    place      its place in its lanes
    replayed   it was recorded before, and is again
    redeliver  with `replayed`: what it owes is owed once more
    """

    place: UUID
    replayed: bool = False
    redeliver: bool = False

    @property
    def owes(self) -> bool:
        """Whether what routes send on of it is owed now."""
        return self.redeliver or not self.replayed


NOBODY: Mapping[UUID, Late] = MappingProxyType({})
"""Every envelope runs in its turn."""


@dataclass(frozen=True, slots=True)
class Newer:
    """For each late envelope and resource: the elements that something newer has changed."""

    _changed: Mapping[tuple[UUID, str], frozenset[str]] = field(default_factory=dict)

    @classmethod
    async def than(cls, connection: Connection, walks: Sequence[Understood], late: Mapping[UUID, Late]) -> Newer:
        """Asked after the resources were read: whoever changes one of them meanwhile makes us begin again."""
        behind = [walk for walk in walks if walk.envelope.id in late]
        if not behind:
            return cls()
        of_walk = {walk.envelope.id: [f"{r['resourceType']}/{r['id']}" for r in walk.resources] for walk in behind}
        known = await versions.of(connection, {reference for told in of_walk.values() for reference in told})
        return cls(
            {
                (envelope, reference): _changed_after(known.get(reference, ()), late[envelope].place)
                for envelope, told in of_walk.items()
                for reference in told
            }
        )

    def leave(self, envelope: UUID, current: Resource | None, incoming: Resource) -> Resource:
        """What `incoming` may still say of a resource. Identifiers are only ever added, so new ones of it are kept."""
        changed = self._changed.get((envelope, f"{incoming['resourceType']}/{incoming['id']}"), frozenset())
        if not changed or current is None:
            return incoming
        said = {element: value for element, value in incoming.items() if element in _ALWAYS or element not in changed}
        if "identifier" in changed and incoming.get("identifier"):
            said["identifier"] = _with_unknown(current.get("identifier", []), incoming["identifier"])
        return said


def _changed_after(known: Sequence[Version], place: UUID) -> frozenset[str]:
    changed: set[str] = set()
    before: Resource = {}
    for version in known:
        if version.newer_than(place):
            elements = before.keys() | version.body.keys()
            changed.update(element for element in elements if before.get(element) != version.body.get(element))
        before = version.body
    return frozenset(changed)


def _with_unknown(known: list[Resource], arrived: list[Resource]) -> list[Resource]:
    """A person has one 居民身份证 number: an older one does not come back."""
    there = {(identifier.get("system"), identifier.get("value")) for identifier in known}
    return known + [
        identifier
        for identifier in arrived
        if (identifier.get("system"), identifier.get("value")) not in there and identifier.get("system") != ID_CARD
    ]
