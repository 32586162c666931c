"""Is this source Patient a person we know? Match, possible match or new, with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.finding import Finding
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
    """Decides under which golden Patient a source Patient belongs.

    own     the golden id it gets when it is nobody we know
    linked  the golden Patient it is linked under already
    owners  for each of its personal identifiers, the golden Patient that holds it
    people  what is known of `linked` and of every owner

    Only an exact personal identifier matches, and only when name or birth date does not contradict it: two cards in
    one household, or one card used for two people, become a possible match that a person settles.
    """
    known = sorted({golden for golden in owners.values() if golden != own})
    if linked is not None:
        return _keep_or_join(patient, own, linked, [golden for golden in known if golden != linked], people)
    if not known:
        return Decision("new", own, ("no personal identifier is known",))
    if len(known) > 1:
        return _possible(own, "identifiers-of-several-persons", "Its personal identifiers belong to several persons.")
    person = people[known[0]]
    if _contradicts(patient, person):
        return _possible(own, "identifier-shared", "A personal identifier is known with another name and birth date.")
    return Decision("match", person.golden, tuple(f"same {system}" for system, _ in sorted(owners)))


def _keep_or_join(
    patient: Patient, own: str, linked: str, others: Sequence[str], people: Mapping[str, Person]
) -> Decision:
    if not others:
        return Decision("match", linked, ("linked before",))
    alone = linked == own and len(people[linked].sources) <= 1
    if alone and len(others) == 1 and not _contradicts(patient, people[others[0]]):
        return Decision("match", others[0], ("a personal identifier became known",))
    return _possible(
        linked, "identifiers-of-several-persons", "A personal identifier belongs to a person it is not linked to."
    )


def _possible(golden: str, code: str, text: str) -> Decision:
    finding = Finding(f"possible-match-{code}", f"{text} Compare the two and link them if they are one person.")
    return Decision("possible-match", golden, (code,), (finding,))


def _contradicts(patient: Patient, person: Person) -> bool:
    """True when both name and birth date are known on both sides and neither agrees with any source."""
    names, birth = _names(patient), patient.get("birthDate")
    their_names = {name for source in person.sources for name in _names(source)}
    their_births = {source["birthDate"] for source in person.sources if source.get("birthDate")}
    if not names or not their_names or not birth or not their_births:
        return False
    return names.isdisjoint(their_names) and birth not in their_births


def _names(patient: Patient) -> set[str]:
    """Whole names without blanks: 张 三 and 张三 are one name."""
    names = set()
    for name in patient.get("name") or ():
        whole = "".join([name.get("family") or "", *(name.get("given") or ())]) or name.get("text") or ""
        names.add("".join(whole.split()).casefold())
    return names - {""}
