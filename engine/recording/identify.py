"""Under which golden Patient does each source Patient of this batch belong? Step 8 of the walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.finding import Finding
from engine.identity import Decision, Person, decide, golden_id, golden_patient, personal_keys
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
    patients = {source: book.get(f"Patient/{source}") for source, _ in sources}
    keys = {source: personal_keys(patient) for source, patient in patients.items() if patient}
    links = await people.links_of(connection, patients)
    claims: dict[people.Key, str] = {}
    for source, owned in keys.items():
        for key in owned:
            claims.setdefault(key, links.get(source, golden_id(source)))
    holders = await people.hold_keys(connection, claims)
    goldens = {*links.values(), *holders.values()}
    members: dict[str, list[str]] = {golden: [] for golden in goldens}
    members |= await people.sources_of(connection, goldens)
    await book.load(f"Patient/{source}" for sources_of_one in members.values() for source in sources_of_one)

    decided: list[Identified] = []
    changed: set[str] = set()
    for source, envelope in sources:
        patient = patients[source]
        if patient is None:
            continue
        decision = decide(
            patient,
            own=golden_id(source),
            linked=links.get(source),
            owners={key: holders[key] for key in keys[source]},
            people={golden: _person(golden, known, book) for golden, known in members.items()},
        )
        before = links.get(source)
        if before not in (None, decision.golden):
            members[before].remove(source)
            await people.move_keys(connection, before, decision.golden)
            holders = {key: decision.golden if holder == before else holder for key, holder in holders.items()}
            changed.add(before)
        links[source] = decision.golden
        if source not in members.setdefault(decision.golden, []):
            members[decision.golden].append(source)
        changed.add(decision.golden)
        decided.append(Identified(source, envelope, decision))
    await people.link(
        connection,
        [people.Link(one.source, one.decision.golden, one.decision.reasons) for one in decided],
        at,
    )
    await _write_goldens(book, changed, members)
    return decided


def _person(golden: str, sources: Sequence[str], book: Book) -> Person:
    return Person(golden, [patient for source in sources if (patient := book.get(f"Patient/{source}"))])


async def _write_goldens(book: Book, goldens: set[str], members: dict[str, list[str]]) -> None:
    await book.load(f"Patient/{golden}" for golden in goldens)
    for golden in sorted(goldens):
        person = _person(golden, members.get(golden, ()), book)
        if person.sources:
            book.put(golden_patient(golden, person.sources), None, None)
        elif (emptied := book.get(f"Patient/{golden}")) is not None:
            book.put({**emptied, "active": False, "link": []}, None, None)
