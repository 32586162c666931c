"""Who is one person because somebody stated it? Persons and Patient.link that follow from all statements, in order.

Both are worked out afresh from the statements that stand, so one that is taken back leaves nothing behind: what follows
from the others is what would follow had it never been made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Patient = dict[str, Any]

_OURS = frozenset({"replaced-by", "replaces", "seealso"})


class JoinKind(StrEnum):
    MERGE = "merge"
    """The one is retired, the other goes on: nobody should use the retired number again."""
    LINK = "link"
    """Both stay in use."""


@dataclass(frozen=True, slots=True)
class Join:
    """The statement that source Patient `joined` is the person of source Patient `to`."""

    kind: JoinKind
    joined: str
    to: str


def persons(homes: Mapping[str, str], joins: Iterable[Join]) -> dict[str, str]:
    """The golden Patient of each source Patient.

    homes  the golden Patient that each source has by its own identifiers
    joins  in the order in which they were stated; the person of `to` takes in that of `joined`
    """
    golden = {home: home for home in homes.values()}
    for join in joins:
        if join.joined not in homes or join.to not in homes:
            continue
        taken, taking = golden[homes[join.joined]], golden[homes[join.to]]
        if taken != taking:
            golden = {home: taking if held == taken else held for home, held in golden.items()}
    return {source: golden[home] for source, home in homes.items()}


def replacements(joins: Iterable[Join]) -> dict[str, str]:
    """Which Patient replaces a retired one: of two statements about one Patient the later holds.

    The Patient that a merge keeps is in use: a chain that leads from it back to the retired one is cut where it begins.
    """
    replaced: dict[str, str] = {}
    for join in joins:
        if join.kind is JoinKind.MERGE and join.joined != join.to:
            if join.joined in chain(replaced, join.to):
                del replaced[join.to]
            replaced[join.joined] = join.to
    return replaced


def chain(replaced: Mapping[str, str], patient: str) -> list[str]:
    """The Patients that replace this one, one after the other; `replacements` never leads in a circle."""
    found: list[str] = []
    while patient in replaced:
        patient = replaced[patient]
        found.append(patient)
    return found


def with_links(patient: Patient, joins: Sequence[Join], forgotten: Collection[Join] = ()) -> Patient:
    """The Patient with the links that follow from these statements, and none of those that were taken back.

    A retired Patient is not active. What else its links say stays.
    """
    source = patient["id"]
    replaced = replacements(joins)
    wanted = [_link(replaced[source], "replaced-by")] if source in replaced else []
    wanted += [_link(other, "replaces") for other, by in sorted(replaced.items()) if by == source]
    linked = {other for join in joins if join.kind is JoinKind.LINK for other in _other_of(join, source)}
    wanted += [_link(other, "seealso") for other in sorted(linked)]

    stated = {f"Patient/{other}" for join in (*joins, *forgotten) for other in _other_of(join, source)}
    stated |= {link["other"]["reference"] for link in wanted}
    kept = [link for link in patient.get("link") or () if not _is_ours(link, stated)]
    was_retired = any(link.get("type") == "replaced-by" for link in patient.get("link") or ())
    result = {element: value for element, value in patient.items() if element != "link"}
    if kept or wanted:
        result["link"] = [*kept, *wanted]
    if source in replaced:
        result["active"] = False
    elif was_retired:
        result.pop("active", None)
    return result


def _other_of(join: Join, source: str) -> tuple[str, ...]:
    if source not in (join.joined, join.to):
        return ()
    return (join.to if source == join.joined else join.joined,)


def _is_ours(link: Patient, stated: Collection[str]) -> bool:
    return link.get("type") in _OURS and (link.get("other") or {}).get("reference") in stated


def _link(other: str, kind: str) -> Patient:
    return {"other": {"reference": f"Patient/{other}"}, "type": kind}
