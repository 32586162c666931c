"""Is this source Patient a person we know? Match, possible match or new, with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.finding import Finding
from engine.identity.evidence import contradicts
from engine.identity.personal import PersonalKey

Patient = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """A golden Patient and the source Patients it links."""

    golden: str
    sources: Sequence[Patient]


@dataclass(frozen=True, slots=True)
class Decision:
    """`outcome` is match, possible-match or new; the source is linked under `golden` for `reasons`."""

    outcome: str
    golden: str
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


def decide(
    patient: Patient, *, own: str, linked: str | None, owners: Mapping[PersonalKey, str], people: Mapping[str, Person]
) -> Decision:
    """Decides under which golden Patient a source Patient belongs by its identifiers, whatever was stated of persons.

    own     the golden id it gets when it is nobody we know
    linked  the golden Patient it is at home under already
    owners  for each of its personal identifiers, the golden Patient where that is at home
    people  what is known of `linked` and of every owner

    Only an exact personal identifier matches, and only when name and birth date do not contradict it: two cards in
    one household, or one card used for two people, become a possible match that a person settles.
    """
    known = sorted({golden for golden in owners.values() if golden != own})
    if linked is not None:
        return _keep_or_join(patient, own, linked, owners, people)
    if not known:
        return Decision("new", own, ("no personal identifier is known",))
    if len(known) > 1:
        return _possible(own, "identifiers-of-several-persons", "Its personal identifiers belong to several persons.")
    shared = _held_by(known[0], owners)
    if contradicts(patient, people[known[0]].sources, shared):
        return _possible(own, "identifier-shared", "A personal identifier is known with another name or birth date.")
    return Decision("match", known[0], tuple(f"same {system}" for system, _ in shared))


def _keep_or_join(
    patient: Patient, own: str, linked: str, owners: Mapping[PersonalKey, str], people: Mapping[str, Person]
) -> Decision:
    others = sorted(set(owners.values()) - {linked, own})
    if not others:
        return Decision("match", linked, ("linked before",))
    alone = linked == own and len(people[linked].sources) <= 1
    if alone and len(others) == 1 and not contradicts(patient, people[others[0]].sources, _held_by(others[0], owners)):
        return Decision("match", others[0], ("a personal identifier became known",))
    return _possible(
        linked, "identifiers-of-several-persons", "A personal identifier belongs to a person it is not linked to."
    )


def _held_by(golden: str, owners: Mapping[PersonalKey, str]) -> list[PersonalKey]:
    return sorted(key for key, holder in owners.items() if holder == golden)


def _possible(golden: str, code: str, text: str) -> Decision:
    finding = Finding(f"possible-match-{code}", f"{text} Compare the two and link them if they are one person.")
    return Decision("possible-match", golden, (code,), (finding,))
