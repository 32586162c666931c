"""Under which golden Patient does each source Patient of this batch belong? Step 8 of the walk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
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
    personal_keys,
    same_evidence,
)
from engine.recording.book import Book
from engine.recording.goldens import person, write_goldens
from engine.store import people
from engine.store.database import Connection
from engine.store.people import Standing

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
    links = await people.hold_links(connection, sources)
    claims: dict[people.Key, Standing] = {}
    for source in sources:
        # What a source no longer has is locked with the rest: it may be released.
        for key in (*keys[source], *personal_keys(before[source])):
            claims.setdefault(key, links.get(source) or _own(source))
    holders = await people.hold_keys(connection, claims)
    goldens = {standing.golden for standing in (*links.values(), *holders.values())}
    # Before their sources are read: whoever changes these persons meanwhile makes this transaction start again.
    await book.load(f"Patient/{golden}" for golden in goldens)
    members: dict[str, list[str]] = {golden: [] for golden in goldens}
    members |= await people.sources_of(connection, goldens)
    await book.load(f"Patient/{source}" for linked in members.values() for source in linked)
    return _People(connection, book, keys, links, holders, members)


def _own(source: str) -> Standing:
    """Of a source Patient that is nobody we know."""
    return Standing(golden_id(source), golden_id(source))


class _People:
    """What is known of everybody these sources may be, while they are judged one after the other."""

    def __init__(
        self,
        connection: Connection,
        book: Book,
        keys: dict[str, list[PersonalKey]],
        links: dict[str, Standing],
        holders: dict[PersonalKey, Standing],
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
        standing = self._links.get(source)
        linked = standing.golden if standing is not None else None
        decision = decide(
            patient,
            own=golden_id(source),
            linked=linked,
            owners={key: self._holders[key].golden for key in self._keys[source]},
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
            standing = Standing(golden, self._home(source, golden))
            self.new_links.append(people.Link(source, golden, standing.home, decision.reasons))
            self._links[source] = standing
        if linked is not None and linked != golden:
            self._members[linked].remove(source)
            self._changed.add(linked)
        # It claimed what nobody held for the golden Patient of its own, which stays empty when it belongs to another.
        held = {holder.golden for holder in self._holders.values()}
        for left in {linked, golden_id(source)} - {None, golden}:
            assert left is not None
            if not self._members.get(left) and (left == linked or left in held):
                to = self._links[source]
                await people.move_keys(self._connection, left, to)
                self._holders = {key: to if was.golden == left else was for key, was in self._holders.items()}
                self._replaced[left] = golden
        members = self._members.setdefault(golden, [])
        if source not in members:
            members.append(source)
        self._changed.add(golden)

    def _home(self, source: str, golden: str) -> str:
        """Where a source stands by its identifiers: with those of them that led to the golden Patient."""
        holders = (self._holders[key] for key in self._keys[source])
        return next((holder.home for holder in holders if holder.golden == golden), golden)

    async def _release(self, golden: str, before: Iterable[PersonalKey]) -> None:
        kept = {key for member in self._person(golden).sources for key in personal_keys(member)}
        lost = [key for key in before if key not in kept and self._is_held(key, golden)]
        await people.release_keys(self._connection, golden, lost)

    def _is_held(self, key: PersonalKey, golden: str) -> bool:
        holder = self._holders.get(key)
        return holder is not None and holder.golden == golden

    async def write_goldens(self) -> None:
        await write_goldens(
            self._book, {golden: self._members.get(golden, ()) for golden in self._changed}, self._replaced
        )

    def _person(self, golden: str) -> Person:
        return person(self._book, golden, self._members.get(golden, ()))
