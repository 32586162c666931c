"""Which segments came to nothing although somebody filled them in? An allergy without a code must not vanish unseen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from engine.finding import Finding
from engine.mapping.definition import Rule
from engine.mapping.frame import Fields

_DIGEST_BYTES = 12


class Teller(NamedTuple):
    """A job that would make something of a group, by what tells which one it is.

    location  where that should stand, `AL1[2]-3`
    """

    number: int
    resource: str
    rule: Rule
    location: str


class Telling(NamedTuple):
    """A group that can be told of only by some jobs, and the segment that begins it."""

    position: int
    tellers: tuple[Teller, ...]


def telling(position: int, tellers: Iterable[Teller]) -> Telling | None:
    """None where nothing can vanish: without such a job, or where one of them holds the message instead."""
    those = tuple(tellers)
    return Telling(position, those) if those and not any(teller.rule.needed for teller in those) else None


def untold(
    groups: Iterable[Telling], rows: Sequence[Fields], ids: Sequence[str | None], told: Sequence[Finding]
) -> Iterator[Finding]:
    """A finding for each group of which nothing was made.

    None for one that says no more than its own number (field 1), or whose rule has told of it itself.
    """
    for position, tellers in groups:
        if any(ids[teller.number] for teller in tellers):
            continue
        row, first = rows[position], tellers[0]
        if not _says_something(row) or any(_is_about(finding, first) for finding in told):
            continue
        yield Finding(
            "item-unidentified",
            f"nothing says which {first.resource} of the patient this is; it is left out",
            location=first.location,
            rule=first.rule.id,
            value=blake2b("|".join(row).encode("utf-8", "replace"), digest_size=_DIGEST_BYTES).hexdigest(),
        )


def _says_something(row: Fields) -> bool:
    return any(character.isalnum() for field in row[2:] for character in field)


def _is_about(finding: Finding, teller: Teller) -> bool:
    return finding.rule == teller.rule.id and (finding.location or "").startswith(teller.location)
