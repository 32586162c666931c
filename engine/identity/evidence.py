"""What speaks for and against two Patients being one person? Names, birth dates and what a card number says itself."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from engine.finding import Finding
from engine.identifiers import ID_CARD
from engine.identity.personal import PersonalKey, personal_keys

Patient = dict[str, Any]

_TOLD_APART = frozenset({"male", "female"})
"""`other` and `unknown` say what a system could not tell."""


def contradicts(patient: Patient, others: Sequence[Patient], shared: Iterable[PersonalKey]) -> bool:
    """True when a patient is hardly the person of `others`, though they share these personal identifiers.

    Of name and birth date, one that differs must be made good by one that agrees: a card misread or a name misspelt is
    one person, but a newborn without a name on its mother's card is not. Twins on a parent's card have one birth date
    and two names, so there the birth date must be the one that the card number holds.
    """
    births = _agree(_births([patient]), _births(others))
    names = _agree(names_of(patient), {name for other in others for name in names_of(other)})
    if births is False:
        return names is not True
    if names is False:
        return births is not True or not _of_the_card(_births([patient]), shared)
    return False


def same_evidence(before: Patient, after: Patient) -> bool:
    """True when nothing changed that identity is judged by."""
    return (
        personal_keys(before) == personal_keys(after)
        and names_of(before) == names_of(after)
        and before.get("birthDate") == after.get("birthDate")
    )


def card_changed(before: Patient, after: Patient) -> Finding | None:
    """A finding when a source Patient had one 居民身份证 number and has another: corrected, or another person?"""
    had, has = _cards(before), _cards(after)
    if not had or not has or not had.isdisjoint(has):
        return None
    return Finding(
        "id-card-changed",
        "The 居民身份证 number of this patient changed. Was it corrected, or is the number of the patient used again?",
    )


def disagreements(ones: Sequence[Patient], others: Sequence[Patient]) -> list[str]:
    """What speaks against two groups of source Patients being one person, in words: 居民身份证, sex, date of birth.

    Only what both sides say can disagree. Names are left out: they are misspelt, changed and written in two scripts.
    """
    sides = {
        "居民身份证": (_all_cards(ones), _all_cards(others)),
        "sex": (_sexes(ones), _sexes(others)),
        "date of birth": (_births(ones), _births(others)),
    }
    return [what for what, (ours, theirs) in sides.items() if _agree(ours, theirs) is False]


def names_of(patient: Patient) -> set[str]:
    """Whole names, letters and digits only: 张 三 and 张三 are one name, and so are 阿依·古丽 and 阿依古丽."""
    names = set()
    for name in patient.get("name") or ():
        whole = "".join([name.get("family") or "", *(name.get("given") or ())]) or name.get("text") or ""
        names.add("".join(c for c in unicodedata.normalize("NFKC", whole) if c.isalnum()).casefold())
    return names - {""}


def _agree(ours: set[str], theirs: set[str]) -> bool | None:
    """None where one side is not known."""
    return not ours.isdisjoint(theirs) if ours and theirs else None


def _births(patients: Iterable[Patient]) -> set[str]:
    return {patient["birthDate"] for patient in patients if patient.get("birthDate")}


def _sexes(patients: Iterable[Patient]) -> set[str]:
    return {patient["gender"] for patient in patients if patient.get("gender") in _TOLD_APART}


def _all_cards(patients: Iterable[Patient]) -> set[str]:
    return {number for patient in patients for number in _cards(patient)}


def _of_the_card(births: set[str], shared: Iterable[PersonalKey]) -> bool:
    """Whether a card number holds one of these birth dates in its 7th to 14th digit; true when no card is shared."""
    numbers = [value for system, value in shared if system == ID_CARD]
    return not numbers or any(birth.replace("-", "") == number[6:14] for birth in births for number in numbers)


def _cards(patient: Patient) -> set[str]:
    return {value for system, value in personal_keys(patient) if system == ID_CARD}
