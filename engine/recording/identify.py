"""Under which golden Patient does each source Patient of this batch belong? Step 8 of the walk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from engine.finding import Finding
from engine.identity import (
    Decision,
    Person,
    PersonalKey,
    card_changed,
    decide,
    golden_id,
    golden_patient,
    personal_keys,
    replaced_golden,
    same_evidence,
)
from engine.recording.book import Book
from engine.store import people
from engine.store.database import Connection

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Identified:
    """A source Patient, the envelope that brought it, and what was decided."""

    source: str
    envelope: UUID
    decision: Decision

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.decision.findings


async def identify(
    connection: Connection, book: Book, sources: Sequence[tuple[str, UUID]], at: datetime
) -> list[Identified]:
    """Decides and links every source Patient of `sources` (id, envelope), which the book holds already.

    A personal identifier is locked before it is judged, so two messages that bring one person from two facilities
    at the same moment are judged one after the other.
    """
    if not sources:
        return []
    known = await _known_people(connection, book, [source for source, _ in sources])
    decided = [Identified(source, envelope, await known.judge(source)) for source, envelope in sources]
    await people.link(connection, known.new_links, at)
    await known.write_goldens()
    return decided


async def _known_people(connection: Connection, book: Book, sources: Sequence[str]) -> _People:
    patients = {source: book.get(f"Patient/{source}") or {} for source in sources}
    before = {source: book.stored(f"Patient/{source}") or {} for source in sources}
    keys = {source: personal_keys(patient) for source, patient in patients.items()}
    links = await people.links_of(connection, sources)
    claims: dict[people.Key, str] = {}
    for source in sources:
        # What a source no longer has is locked with the rest: it may be released.
        for key in (*keys[source], *personal_keys(before[source])):
            claims.setdefault(key, links.get(source, golden_id(source)))
    holders = await people.hold_keys(connection, claims)
    goldens = {*links.values(), *holders.values()}
    members: dict[str, list[str]] = {golden: [] for golden in goldens}
    members |= await people.sources_of(connection, goldens)
    await book.load(f"Patient/{source}" for linked in members.values() for source in linked)
    return _People(connection, book, keys, links, holders, members)


class _People:
    """What is known of everybody these sources may be, while they are judged one after the other."""

    def __init__(
        self,
        connection: Connection,
        book: Book,
        keys: dict[str, list[PersonalKey]],
        links: dict[str, str],
        holders: dict[PersonalKey, str],
        members: dict[str, list[str]],
    ) -> None:
        self._connection = connection
        self._book = book
        self._keys = keys
        self._links = links
        self._holders = holders
        self._members = members
        self._changed: set[str] = set()
        self._replaced: dict[str, str] = {}
        self.new_links: list[people.Link] = []

    async def judge(self, source: str) -> Decision:
        """Decides, and moves links and identifiers as decided. A doubt that was told before is not told again."""
        patient, stored = self._book.get(f"Patient/{source}") or {}, self._book.stored(f"Patient/{source}")
        linked = self._links.get(source)
        decision = decide(
            patient,
            own=golden_id(source),
            linked=linked,
            owners={key: self._holders[key] for key in self._keys[source]},
            people={golden: self._person(golden) for golden in self._members},
        )
        await self._move(source, linked, decision)
        if stored is not None and linked is not None:
            if same_evidence(stored, patient):
                decision = replace(decision, findings=())
            elif changed := card_changed(stored, patient):
                decision = replace(decision, findings=(*decision.findings, changed))
            await self._release(decision.golden, personal_keys(stored))
        return decision

    async def _move(self, source: str, linked: str | None, decision: Decision) -> None:
        golden = decision.golden
        if linked != golden:
            self.new_links.append(people.Link(source, golden, decision.reasons))
            self._links[source] = golden
        if linked is not None and linked != golden:
            self._members[linked].remove(source)
            self._changed.add(linked)
        # It claimed what nobody held for the golden Patient of its own, which stays empty when it belongs to another.
        for left in {linked, golden_id(source)} - {None, golden}:
            assert left is not None
            if not self._members.get(left) and (left == linked or left in self._holders.values()):
                await people.move_keys(self._connection, left, golden)
                self._holders = {key: golden if holder == left else holder for key, holder in self._holders.items()}
                self._replaced[left] = golden
        members = self._members.setdefault(golden, [])
        if source not in members:
            members.append(source)
        self._changed.add(golden)

    async def _release(self, golden: str, before: Iterable[PersonalKey]) -> None:
        kept = {key for member in self._person(golden).sources for key in personal_keys(member)}
        lost = [key for key in before if key not in kept and self._holders.get(key) == golden]
        await people.release_keys(self._connection, golden, lost)

    async def write_goldens(self) -> None:
        await self._book.load(f"Patient/{golden}" for golden in self._changed)
        for golden in sorted(self._changed):
            person = self._person(golden)
            if person.sources:
                self._book.put(golden_patient(golden, person.sources), None, None)
            elif (emptied := self._book.get(f"Patient/{golden}")) is not None:
                self._book.put(replaced_golden(emptied, self._replaced[golden]), None, None)

    def _person(self, golden: str) -> Person:
        """The latest written source first."""
        latest_first = sorted(self._members.get(golden, ()), key=self._age)
        return Person(golden, [patient for source in latest_first if (patient := self._book.get(f"Patient/{source}"))])

    def _age(self, source: str) -> tuple[float, str]:
        """Smaller is younger; what this transaction writes is the youngest."""
        written_at = self._book.last_updated(f"Patient/{source}")
        return -(written_at or datetime.max.replace(tzinfo=UTC)).timestamp(), source
