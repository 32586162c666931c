"""What do golden Patients say after a change? Written from their sources, or pointed at who took their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.identity import Person, golden_patient, replaced_golden
from engine.recording.book import Book


def person(book: Book, golden: str, sources: Sequence[str]) -> Person:
    """A person of sources that the book holds, the one first that was spoken of last.

    By when messages came, not by when they were processed: messages of different lanes may overtake each other.
    """
    latest_first = sorted(sources, key=lambda source: (book.said_at(f"Patient/{source}"), source), reverse=True)
    return Person(golden, [patient for source in latest_first if (patient := book.get(f"Patient/{source}"))])


async def write_goldens(book: Book, members: Mapping[str, Sequence[str]], replaced: Mapping[str, str]) -> None:
    """Writes golden Patients with their sources; one without sources points to the golden Patient that replaced it."""
    await book.load(f"Patient/{golden}" for golden in members)
    for golden in sorted(members):
        found = person(book, golden, members[golden])
        if found.sources:
            book.put(golden_patient(golden, found.sources), None, None)
        elif (emptied := book.get(f"Patient/{golden}")) is not None:
            book.put(replaced_golden(emptied, replaced[golden]), None, None)
