"""What may an envelope change that runs after newer ones of its patients? Nothing that one of them has changed.

A message that is processed again, or that nothing mapped for a month, says what was true when it was sent. Of each
resource it changes the elements that no newer envelope and no person changed since; the others stay as they are.
Whether its state or its time comes too late is asked of the record as it was when its turn came: what a newer message
said of one result does not make what this one says of the others old.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from uuid import UUID

from engine.identifiers import ID_CARD
from engine.recording.merge import WHOLE
from engine.store import versions
from engine.store.database import Connection
from engine.store.versions import Version
from engine.understanding import Understood

Resource = dict[str, Any]
_ALWAYS = frozenset({"resourceType", "id"})
_WORKED_OUT = frozenset({"identifier", "link", "partOf"})
"""Elements that hutong adds to what a message says: that the message does not say them takes nothing away."""

_HUTONGS_OWN = ("Task/", "ImagingStudy/")


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
class Withheld:
    """What a late message says otherwise than the record and does not change, because something newer said it.

    elements  empty where nothing of the resource may be said: its state, or its time, is older
    envelope  the newer message; where there is none, `actor` wrote it: a person, or hutong
    """

    reference: str
    elements: tuple[str, ...] = ()
    envelope: UUID | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Who said what of these resources before.

    versions  of every resource that a late envelope speaks of, of orders that it mentions, and of reports whose time is
              in doubt
    spoken    what envelopes spoke of when they were recorded
    """

    versions: Mapping[str, Sequence[Version]] = field(default_factory=dict)
    spoken: Mapping[UUID, frozenset[str]] = field(default_factory=dict)

    @classmethod
    async def of(
        cls,
        connection: Connection,
        walks: Sequence[Understood],
        late: Mapping[UUID, Late],
        doubtful: Collection[str] = (),
    ) -> History:
        """Asked after the resources were read: whoever changes one of them meanwhile makes us begin again.

        doubtful  reports of which an older version may have come
        """
        behind = [walk for walk in walks if walk.envelope.id in late]
        if not behind and not doubtful:
            return cls()
        before = await versions.spoken_of(connection, [w.envelope.id for w in behind if late[w.envelope.id].replayed])
        asked = {reference for walk in behind for reference in (*spoken_in(walk), *_orders_mentioned(walk))}
        known = await versions.of(connection, asked.union(doubtful, *before.values()))
        writers = {
            version.envelope
            for reference, of_it in known.items()
            if reference.startswith("DiagnosticReport/")
            for version in of_it
            if version.envelope is not None
        }
        return cls(known, before | await versions.spoken_of(connection, writers - before.keys()))

    def seen(self, envelope: UUID, late: Late, reference: str) -> Resource | None:
        """The resource as it was when the envelope's turn came, before itself and anything newer."""
        body: Resource | None = None
        for version in self.versions.get(reference, ()):
            if version.envelope == envelope or version.newer_than(late.place):
                break
            body = version.body
        return body

    def changed_since(self, late: Late, reference: str) -> dict[str, Version]:
        """The elements that something newer has changed, with its last version that did."""
        changed: dict[str, Version] = {}
        for version, elements in _changes(self.versions.get(reference, ())):
            if version.newer_than(late.place):
                changed |= dict.fromkeys(elements, version)
        return changed

    def owned(self, envelope: UUID, reference: str) -> set[str]:
        """The elements that nobody has changed since this envelope did, and that only a message can have said."""
        last: dict[str, UUID | None] = {}
        for version, elements in _changes(self.versions.get(reference, ())):
            last |= dict.fromkeys(elements, version.envelope)
        return {element for element, by in last.items() if by == envelope} - _ALWAYS - _WORKED_OUT

    def only_of(self, envelope: UUID, reference: str) -> bool:
        """Whether there is such a resource, and nobody but this envelope ever wrote it."""
        known = self.versions.get(reference, ())
        return bool(known) and all(version.envelope == envelope for version in known)

    def said_no_more(self, walk: Understood, told: Collection[str]) -> list[str]:
        """Of what this message wrote before, what nobody else ever said and it does not speak of any more.

        What it moved, or what hutong worked out because of it, is somebody else's too.
        """
        envelope = walk.envelope.id
        gone = self.spoken.get(envelope, frozenset[str]()).difference(told, walk.only_if_missing)
        return sorted(each for each in gone if not each.startswith(_HUTONGS_OWN) and self.only_of(envelope, each))

    def said_at(self, walk: UUID, late: Late | None, result: str, report: str, stands: str) -> str:
        """When the report was issued that last spoke of a result; `stands` is when the report on record was.

        A correction says only the results that it corrects: what it leaves out was said by the version before.
        """
        if report not in self.versions:
            return stands
        known = self.versions[report]
        for before, version in zip(reversed([None, *known[:-1]]), reversed(known), strict=True):
            if version.envelope == walk or (late is not None and version.newer_than(late.place)):
                continue
            spoken = self.spoken.get(version.envelope) if version.envelope is not None else None
            if spoken is None or result in spoken:
                return "" if _may_be_gathered(before, version) else version.body.get("issued") or ""
        return ""


def spoken_in(walk: Understood) -> Iterator[str]:
    """References of everything that a message states or acts on; what it merely mentions is left out."""
    for resource in walk.resources:
        reference = f"{resource['resourceType']}/{resource['id']}"
        if reference not in walk.only_if_missing:
            yield reference
    for act in walk.acts:
        yield from (reference for reference in (act.of, act.to) if "/" in reference)


def _orders_mentioned(walk: Understood) -> Iterator[str]:
    """A report may complete them, unless something newer has said how they stand."""
    return (reference for reference in walk.only_if_missing if reference.startswith("ServiceRequest/"))


def may_say(current: Resource | None, incoming: Resource, changed: Mapping[str, Version]) -> Resource:
    """What of `incoming` is nothing newer's. Identifiers are only ever added, so new ones of it are kept."""
    if not changed or current is None:
        return incoming
    said = {element: value for element, value in incoming.items() if element in _ALWAYS or element not in changed}
    if "identifier" in changed and incoming.get("identifier"):
        said["identifier"] = with_unknown(current.get("identifier", []), incoming["identifier"])
    return said


def withheld(current: Resource, wanted: Resource, changed: Mapping[str, Version]) -> list[Withheld]:
    """What would be otherwise if nothing newer had been said; one for each who said it.

    wanted  the resource as it would be then
    """
    reference = f"{current['resourceType']}/{current['id']}"
    by: dict[tuple[UUID | None, str | None], list[str]] = {}
    for element, version in changed.items():
        if current.get(element) != wanted.get(element):
            by.setdefault((version.envelope, version.actor), []).append(element)
    return [Withheld(reference, tuple(sorted(elements)), *author) for author, elements in by.items()]


def _may_be_gathered(before: Version | None, version: Version) -> bool:
    """Whether an older statement may have brought this version, `issued` of which is then another's time."""
    if before is None or version.body.get("status") == WHOLE:
        return False
    moved = {element for element in ("status", "issued") if before.body.get(element) != version.body.get(element)}
    return not moved and before.body.get("result") != version.body.get("result")


def _changes(known: Sequence[Version]) -> Iterator[tuple[Version, set[str]]]:
    """Each version with the elements in which it differs from the one before."""
    before: Resource = {}
    for version in known:
        elements = before.keys() | version.body.keys()
        yield version, {element for element in elements if before.get(element) != version.body.get(element)}
        before = version.body


def with_unknown(known: list[Resource], arrived: list[Resource]) -> list[Resource]:
    """A person has one 居民身份证 number: an older one does not come back."""
    there = {(identifier.get("system"), identifier.get("value")) for identifier in known}
    return known + [
        identifier
        for identifier in arrived
        if (identifier.get("system"), identifier.get("value")) not in there and identifier.get("system") != ID_CARD
    ]
