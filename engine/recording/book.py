"""What does this transaction read and write? Each resource is read once, changed in memory and written once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from engine.codecs import fhir_json
from engine.envelope import arrived_at
from engine.store import records
from engine.store.audit import SYSTEM
from engine.store.database import Connection
from engine.store.records import Change

Resource = dict[str, Any]

_NOW = datetime.max.replace(tzinfo=UTC)
_NOBODY = UUID(int=0)


@dataclass(slots=True)
class _Page:
    """A resource as it was read (version 0: not there), and the versions that follow.

    envelope  whose version it was
    """

    stored: Resource | None
    version: int = 0
    last_updated: datetime | None = None
    envelope: UUID | None = None
    new: list[Change] = field(default_factory=list)

    @property
    def body(self) -> Resource | None:
        return self.new[-1].resource if self.new else self.stored


class Book:
    """The working set of one transaction.

    Reading takes no locks: a write says which version it replaces, and somebody else's change in between makes the
    whole transaction start again (VersionConflict). So resources that every message names (the facility, its doctors)
    cost their readers nothing. Each envelope's change is a version of its own, so that every version can say which
    envelope it came from.
    """

    def __init__(self, connection: Connection, actor: str = SYSTEM) -> None:
        """`actor` is who writes what no envelope says."""
        self._connection = connection
        self._actor = actor
        self._pages: dict[str, _Page] = {}
        self._seen: dict[UUID, dict[str, int]] = {}
        """By envelope and reference: how many new versions there were when the envelope last said something of it."""

    @property
    def envelopes(self) -> Collection[UUID]:
        """Those that said something of any resource."""
        return self._seen.keys()

    async def load(self, references: Iterable[str]) -> None:
        """Reads, in one round trip, what was not read before."""
        missing = set(references).difference(self._pages)
        stored = await records.read_many(self._connection, missing)
        for reference in missing:
            found = stored.get(reference)
            self._pages[reference] = (
                _Page(found.body, found.version, found.last_updated, found.envelope) if found else _Page(None)
            )

    def get(self, reference: str) -> Resource | None:
        """The resource as this transaction sees it; it must have been loaded."""
        return self._pages[reference].body

    def stored(self, reference: str) -> Resource | None:
        """The resource as it was before this transaction."""
        return self._pages[reference].stored

    def put(self, resource: Resource, envelope: UUID | None, mapping: str | None) -> None:
        """What an envelope puts again replaces what it put last; a body that is there already is no new version."""
        reference = f"{resource['resourceType']}/{resource['id']}"
        page = self._pages[reference]
        new = page.new
        if new and new[-1].envelope == envelope:
            new.pop()
        current = page.body
        if current is None or not fhir_json.same(current, resource):
            actor = None if envelope else self._actor
            new.append(Change(resource, envelope, actor, mapping, page.version + len(new)))
        if envelope is not None:
            self._seen.setdefault(envelope, {})[reference] = len(new)

    def changed(self, reference: str) -> bool:
        return bool(self._pages[reference].new)

    def wrote(self, reference: str, envelope: UUID) -> bool:
        """Whether a new version is this envelope's."""
        return any(version.envelope == envelope for version in self._pages[reference].new)

    def said_at(self, reference: str) -> tuple[datetime, UUID]:
        """When what a resource says was said: when the envelope of its last version came, whenever that was processed.

        Of a version that a person wrote: when it was written. Sorted by it, the latest word comes last.
        """
        page = self._pages[reference]
        envelope = page.new[-1].envelope if page.new else page.envelope
        if envelope is not None:
            return arrived_at(envelope), envelope
        return (None if page.new else page.last_updated) or _NOW, _NOBODY

    def spoken_of(self, envelope: UUID) -> Collection[str]:
        """References of what an envelope wrote, or found to be so already."""
        return self._seen.get(envelope, {}).keys()

    def label(self, reference: str, envelope: UUID) -> str:
        """`Patient/…@3`: the version that an envelope wrote, or found to be so already."""
        page = self._pages[reference]
        return f"{reference}@{page.version + min(self._seen[envelope][reference], len(page.new))}"

    async def write(self, at: datetime) -> None:
        """Writes what changed. Raises VersionConflict when somebody else changed it first."""
        depth = 0
        while changes := [page.new[depth] for page in self._pages.values() if len(page.new) > depth]:
            await records.write(self._connection, changes, at)
            depth += 1
