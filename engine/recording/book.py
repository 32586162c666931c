"""What does this transaction read and write? Each resource is read once, changed in memory and written once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.store import records
from engine.store.audit import SYSTEM
from engine.store.database import Connection

Resource = dict[str, Any]


@dataclass(slots=True)
class _Page:
    body: Resource | None
    version: int
    stored: Resource | None
    envelope: UUID | None = None
    mapping: str | None = None


class Book:
    """The working set of one transaction.

    Reading takes no locks: a write says which version it replaces, and somebody else's change in between makes the
    whole transaction start again (VersionConflict). So resources that every message names (the facility, its doctors)
    cost their readers nothing.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pages: dict[str, _Page] = {}

    async def load(self, references: Iterable[str]) -> None:
        """Reads, in one round trip, what was not read before."""
        missing = {reference for reference in references if reference not in self._pages}
        stored = await records.read_many(self._connection, missing)
        for reference in missing:
            found = stored.get(reference)
            self._pages[reference] = _Page(found.body, found.version, found.body) if found else _Page(None, 0, None)

    def get(self, reference: str) -> Resource | None:
        """The resource as this transaction sees it; it must have been loaded."""
        return self._pages[reference].body

    def put(self, resource: Resource, envelope: UUID | None, mapping: str | None) -> None:
        page = self._pages[f"{resource['resourceType']}/{resource['id']}"]
        if page.body != resource:
            page.body, page.envelope, page.mapping = resource, envelope, mapping

    def changed(self, reference: str) -> bool:
        page = self._pages[reference]
        return page.body != page.stored

    def label(self, reference: str) -> str:
        """`Patient/…@3`: the version that is current once this transaction commits."""
        page = self._pages[reference]
        return f"{reference}@{page.version + self.changed(reference)}"

    async def write(self, at: datetime) -> list[records.Written]:
        """Writes what changed. Raises VersionConflict when somebody else changed it first."""
        changes = [
            records.Change(page.body, page.envelope, None if page.envelope else SYSTEM, page.mapping, page.version)
            for page in self._pages.values()
            if page.body is not None and page.body != page.stored
        ]
        return await records.write(self._connection, changes, at)
