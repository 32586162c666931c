"""Under which golden Patient does each source Patient of this batch belong? Step 8 of the walk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.finding import Finding
from engine.identity import (
    Decision,
    Join,
    Person,
    PersonalKey,
    card_changed,
    decide,
    golden_id,
    personal_keys,
    persons,
    same_evidence,
)
from engine.recording.book import Book
from engine.recording.goldens import person, write_goldens
from engine.store import joins, people
from engine.store.database import Connection
from engine.store.people import Standing
from engine.store.records import VersionConflict

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
    connection: Connection, book: Book, sources: Sequence[tuple[str, UUID]], at: datetime, joined: Collection[str] = ()
) -> list[Identified]:
    """Decides and links every source Patient of `sources` (id, envelope), which the book holds already.

    A personal identifier is locked before it is judged, so two messages that bring one person from two facilities
    at the same moment are judged one after the other. Judged is by identifiers alone (`home`); who is one person
    because somebody stated it follows from the statements: whether a merge or a card came first makes no difference.

    joined  source Patients that are joined or parted afterwards: their persons are locked here, whole, because locks
            that are taken one after the other are waited for in a circle
    Raises VersionConflict when somebody joined one of these persons at this moment: begin again.
    """
    if not sources and not joined:
        return []
    known = await _known_people(connection, book, [source for source, _ in sources], joined)
    decided = [Identified(source, envelope, await known.judge(source)) for source, envelope in sources]
    await known.write(at)
    return decided


async def _known_people(connection: Connection, book: Book, sources: Sequence[str], joined: Collection[str]) -> _People:
    patients = {source: book.get(f"Patient/{source}") or {} for source in sources}
    before = {source: book.stored(f"Patient/{source}") or {} for source in sources}
    keys = {source: personal_keys(patient) for source, patient in patients.items()}
    wanted: dict[PersonalKey, str] = {}
    for source in sources:
        # What a source no longer has is locked with the rest: it may be released.
        for key in (*keys[source], *personal_keys(before[source])):
            wanted.setdefault(key, source)
    whole = bool(joined) or await people.any_joined(connection, sources, wanted)
    if whole:
        await people.hold_people(connection, {*sources, *joined}, wanted)
    links = await people.hold_links(connection, sources)
    claims = {key: links.get(source) or people.own_standing(source) for key, source in wanted.items()}
    holders = await people.hold_keys(connection, claims)
    goldens = {standing.golden for standing in (*links.values(), *holders.values())}
    # Before their sources are read: whoever changes these persons meanwhile makes this transaction start again.
    await book.load(f"Patient/{golden}" for golden in goldens)
    members = await people.members_of(connection, goldens)
    if not whole and any(standing.golden != standing.home for standing in members.values()):
        raise VersionConflict("a person was joined with another one before it could be locked")
    await book.load(f"Patient/{source}" for source in members)
    stated = [one.join for one in await joins.about(connection, members) if one.stands] if whole else []
    return _People(connection, book, keys, holders, members, stated)


class _People:
    """What is known of everybody these sources may be, while they are judged one after the other."""

    def __init__(
        self,
        connection: Connection,
        book: Book,
        keys: dict[str, list[PersonalKey]],
        holders: dict[PersonalKey, Standing],
        members: dict[str, Standing],
        stated: Sequence[Join],
    ) -> None:
        """`members` is everybody of these persons, and `stated` what holds of them in its order."""
        self._connection = connection
        self._book = book
        self._keys = keys
        self._holders = holders
        self._before = members
        self._homes = {source: standing.home for source, standing in members.items()}
        self._stated = stated
        self._reasons: dict[str, Sequence[str]] = {}
        self._judged: set[str] = set()

    async def judge(self, source: str) -> Decision:
        """Decides, and moves links and identifiers as decided. A doubt that was told before is not told again."""
        patient, stored = self._book.get(f"Patient/{source}") or {}, self._book.stored(f"Patient/{source}")
        home = self._homes.get(source)
        owners = {key: self._holders[key].home for key in self._keys[source]}
        decision = decide(
            patient,
            own=golden_id(source),
            linked=home,
            owners=owners,
            people={known: self._person(known) for known in {*owners.values(), home} if known is not None},
        )
        if decision.findings and self._is_joined_with_all(source):
            decision = replace(decision, findings=())
        await self._move(source, home, decision)
        if stored is not None and home is not None:
            if same_evidence(stored, patient):
                decision = replace(decision, findings=())
            elif changed := card_changed(stored, patient):
                decision = replace(decision, findings=(*decision.findings, changed))
            await self._release(source, personal_keys(stored))
        return decision

    def _is_joined_with_all(self, source: str) -> bool:
        """Whether somebody stated already that a source is the person of everybody who holds an identifier of it."""
        standing = self._before.get(source)
        return standing is not None and {self._holders[key].golden for key in self._keys[source]} <= {standing.golden}

    async def _move(self, source: str, before: str | None, decision: Decision) -> None:
        home = decision.golden
        if before != home:
            self._homes[source] = home
            self._reasons[source] = decision.reasons
        self._judged.add(source)
        # It claimed what nobody held for the golden Patient of its own, which stays empty when it belongs to another.
        held = {holder.home for holder in self._holders.values()}
        for left in {before, golden_id(source)} - {None, home}:
            assert left is not None
            if left not in self._homes.values() and (left == before or left in held):
                to = next((holder for holder in self._holders.values() if holder.home == home), Standing(home, home))
                await people.move_keys(self._connection, left, to)
                self._holders = {key: to if was.home == left else was for key, was in self._holders.items()}

    async def _release(self, source: str, before: Iterable[PersonalKey]) -> None:
        person = self._goldens()
        others = [other for other, golden in person.items() if golden == person[source]]
        kept = {key for other in others for key in personal_keys(self._book.get(f"Patient/{other}") or {})}
        homes = {self._homes[other] for other in others}
        lost = [key for key in before if key not in kept and key in self._holders and self._holders[key].home in homes]
        await people.release_keys(self._connection, lost)

    async def write(self, at: datetime) -> None:
        """Links who was identified, and writes the golden Patients of all persons that are other than they were."""
        goldens = self._goldens()
        moved = [
            people.Link(source, goldens[source], self._homes[source], why) for source, why in self._reasons.items()
        ]
        await people.link(self._connection, moved, at)
        if self._stated:
            await people.regroup(self._connection, goldens, self._homes)
        before = {source: standing.golden for source, standing in self._before.items()}
        changed = [source for source in goldens if source in self._judged or goldens[source] != before[source]]
        touched = {
            golden for source in changed for golden in (goldens[source], before.get(source)) if golden is not None
        }
        replaced = {before[source]: golden for source, golden in goldens.items() if source in before}
        members = {golden: [source for source, of in goldens.items() if of == golden] for golden in touched}
        await write_goldens(self._book, members, replaced)

    def _goldens(self) -> dict[str, str]:
        return persons(self._homes, self._stated)

    def _person(self, home: str) -> Person:
        """Whoever is one person by identifiers alone."""
        return person(self._book, home, [source for source, of in self._homes.items() if of == home])
