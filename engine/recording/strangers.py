"""Which messages name somebody else under a number that is known? They wait until a person says who it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.finding import Finding, Severity
from engine.identity.another import another_person, digest_of_both
from engine.recording.book import Book
from engine.store import findings
from engine.store.database import Connection
from engine.store.findings import Raised
from engine.store.inbox import Claimed
from engine.understanding import Understood

PERSON_CHANGED = "person-changed"


@dataclass(frozen=True, slots=True)
class _Stranger:
    """A Patient of a message who is hardly the one known; `confirmed` stands for a person's word that it is."""

    walk: Understood
    finding: Finding
    confirmed: Raised


async def find_strangers(
    connection: Connection, book: Book, walks: Sequence[tuple[Claimed, Understood]], at: datetime
) -> None:
    """Adds an error to each walk that names another person under a known number, so that it holds.

    A message that states a change (a merge, a new number) or was recorded before is not asked. Neither is one that a
    person released for this reason; that word is kept, so that systems that know the one and the other statement do
    not stop each other again. Reads what recording reads anyway.
    """
    await book.load(reference for _, walk in walks for reference in walk.by_reference)
    strangers = [
        stranger
        for one, walk in walks
        if not one.replayed and not walk.acts and walk.manifest is None
        for stranger in _strangers_of(book, one, walk)
    ]
    if not strangers:
        return
    known = await findings.settled_by_persons(connection, [each.confirmed.id for each in strangers])
    asked = {one.envelope.id: one.asked for one, _ in walks if one.asked is not None}
    released = await findings.envelopes_with(connection, asked, PERSON_CHANGED)
    for each in strangers:
        if each.confirmed.id in known:
            continue
        envelope = each.walk.envelope.id
        if envelope in released:
            await findings.raise_settled(connection, each.confirmed, asked[envelope].by, asked[envelope].why, at)
        else:
            each.walk.findings.append(each.finding)


def _strangers_of(book: Book, one: Claimed, walk: Understood) -> list[_Stranger]:
    found = []
    for reference, came in walk.by_reference.items():
        known = book.get(reference) if reference.startswith("Patient/") else None
        contradicted = another_person(known, came) if known is not None else []
        if known is not None and contradicted:
            once = f"PID-3 {digest_of_both(known, came)}"
            text = _text(contradicted, awaited=one.awaited)
            told = Finding(PERSON_CHANGED, text, Severity.ERROR, "PID-3", once=once if one.awaited else "")
            about = f"{walk.envelope.facility} {once}"
            confirmed = Finding(PERSON_CHANGED, text, Severity.INFORMATION, "PID-3", once=once)
            found.append(_Stranger(walk, told, Raised(confirmed, walk.envelope.id, about, walk.envelope.channel)))
    return found


def _text(contradicted: Sequence[str], *, awaited: bool) -> str:
    *others, last = contradicted
    what = f"{', '.join(others)} and {last}" if others else last
    then = "settle this and have it sent again" if awaited else "release it"
    return (
        f"The number in PID-3 is known with another {what}: somebody else seems to have come under it, and nothing of "
        f"this message was recorded. Compare it with the patient. If it is the same person, corrected, {then}. If the "
        "number was given to another person, have the facility give that person a number of their own and correct it "
        "here (hutong edit), or have it say so with A47 or A40."
    )
