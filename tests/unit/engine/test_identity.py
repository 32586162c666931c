"""Who is this patient? A match, a possible match that a person settles, or somebody new; never a silent merge."""

from __future__ import annotations

import pytest

from engine.identifiers import HEALTH_CARD, ID_CARD
from engine.identity import (
    Decision,
    Person,
    card_changed,
    decide,
    golden_id,
    golden_patient,
    personal_keys,
    replaced_golden,
    same_evidence,
)
from tests.unit.engine.patients import CARD, OTHER_CARD, Patient, patient

OWN, KNOWN, THIRD = "golden-own", "golden-known", "golden-third"
KEY, HEALTH_KEY = (ID_CARD, CARD), (HEALTH_CARD, "H1")


def decided(arrived: Patient, known: Patient | None = None, *, linked: str | None = None) -> Decision:
    """The decision about somebody whose every personal identifier `known` holds already."""
    owners = dict.fromkeys(personal_keys(arrived), KNOWN if known else OWN)
    people = {OWN: Person(OWN, [arrived] if linked == OWN else []), KNOWN: Person(KNOWN, [known] if known else [])}
    return decide(arrived, own=OWN, linked=linked, owners=owners, people=people)


NAMED = patient(card=CARD)
EQUAL = {
    "the same name and birth date": (patient(card=CARD), NAMED),
    "a birth date that was mistyped": (patient(born="1963-05-21", card=CARD), NAMED),
    "a name that was misspelt": (patient("石秀瑛", card=CARD), NAMED),
    "a name with a blank": (patient("石 秀英", card=CARD), NAMED),
    "a name with a middle dot": (patient("阿依·古丽", card=CARD), patient("阿依古丽", card=CARD)),
    "no birth date": (patient(born="", card=CARD), NAMED),
    "no name": (patient("", card=CARD), NAMED),
    "nothing but the card": (patient("", "", card=CARD), NAMED),
    "a known person without name and birth date": (NAMED, patient("", "", card=CARD)),
    "a health card": (patient(health_card="H1"), patient(health_card="H1")),
}
DIFFERENT = {
    "another name and birth date": (patient("牛大山", "1990-01-01", card=CARD), NAMED),
    "another name and no birth date": (patient("牛大山", "", card=CARD), NAMED),
    "a newborn without a name on its mother's card": (patient("", "2026-11-20", card=CARD), NAMED),
    "a mother on the card that her newborn was registered with": (NAMED, patient("", "2026-11-20", card=CARD)),
    "twins on their mother's card": (
        patient("石大宝", "2026-11-20", card=CARD),
        patient("石小宝", "2026-11-20", card=CARD),
    ),
}


@pytest.mark.parametrize(("arrived", "known"), EQUAL.values(), ids=EQUAL)
def test_an_exact_identifier_matches_with(arrived: Patient, known: Patient) -> None:
    decision = decided(arrived, known)
    assert (decision.outcome, decision.golden, decision.findings) == ("match", KNOWN, ())


@pytest.mark.parametrize(("arrived", "known"), DIFFERENT.values(), ids=DIFFERENT)
def test_an_exact_identifier_is_only_a_possible_match_with(arrived: Patient, known: Patient) -> None:
    decision = decided(arrived, known)
    assert (decision.outcome, decision.golden) == ("possible-match", OWN)
    assert [finding.code for finding in decision.findings] == ["possible-match-identifier-shared"]


NOBODY_KNOWN = {
    "no identifier at all": patient(),
    "a newborn without identifiers, name and birth date": patient("", ""),
    "a family's telephone": patient(phone="13900000001"),
    "a card with a wrong check digit": patient(card="110105196305121220", use="temp"),
    "a superseded card": patient(card=CARD, use="old"),
    "a card that nobody holds": NAMED,
}


@pytest.mark.parametrize("arrived", NOBODY_KNOWN.values(), ids=NOBODY_KNOWN)
def test_somebody_is_new_who_has(arrived: Patient) -> None:
    decision = decided(arrived)
    assert (decision.outcome, decision.golden, decision.findings) == ("new", OWN, ())


@pytest.mark.parametrize("use", ["temp", "old"])
def test_an_identifier_that_is_not_to_match_on_is_no_key(use: str) -> None:
    assert personal_keys(patient(card=CARD, use=use)) == []


def test_identifiers_of_two_persons_link_to_neither() -> None:
    arrived = patient(card=CARD, health_card="H1")
    decision = decide(
        arrived,
        own=OWN,
        linked=None,
        owners={KEY: KNOWN, HEALTH_KEY: THIRD},
        people={KNOWN: Person(KNOWN, [NAMED]), THIRD: Person(THIRD, [NAMED])},
    )
    assert (decision.outcome, decision.golden) == ("possible-match", OWN)
    assert [finding.code for finding in decision.findings] == ["possible-match-identifiers-of-several-persons"]


def test_who_is_linked_stays_linked() -> None:
    assert decided(patient(phone="139"), linked=KNOWN).golden == KNOWN
    assert decided(patient(card=CARD), NAMED, linked=KNOWN).reasons == ("linked before",)


def test_who_was_alone_joins_the_person_whose_card_became_known() -> None:
    decision = decided(NAMED, NAMED, linked=OWN)
    assert (decision.outcome, decision.golden, decision.findings) == ("match", KNOWN, ())


def test_who_was_alone_does_not_join_somebody_of_another_name_and_birth_date() -> None:
    decision = decided(patient("牛大山", "1990-01-01", card=CARD), NAMED, linked=OWN)
    assert (decision.outcome, decision.golden) == ("possible-match", OWN)


def test_who_is_linked_with_others_is_never_moved_away_from_them() -> None:
    decision = decide(
        NAMED,
        own=OWN,
        linked=THIRD,
        owners={KEY: KNOWN},
        people={THIRD: Person(THIRD, [NAMED, patient(source="p2")]), KNOWN: Person(KNOWN, [NAMED])},
    )
    assert (decision.outcome, decision.golden) == ("possible-match", THIRD)
    assert len(decision.findings) == 1


def test_reasons_name_systems_and_no_values() -> None:
    assert decided(NAMED, NAMED).reasons == (f"same {ID_CARD}",)


def test_the_golden_patient_gathers_its_sources_the_latest_first() -> None:
    latest = patient("石秀英", "", card=CARD, source="b")
    earlier = patient("石秀瑛", "1963-05-12", health_card="H1", source="a")
    golden = golden_patient("g", [latest, earlier])
    assert golden["name"] == latest["name"]
    assert golden["birthDate"] == "1963-05-12"
    assert {(i["system"], i["value"]) for i in golden["identifier"]} == {KEY, HEALTH_KEY}
    assert [link["other"]["reference"] for link in golden["link"]] == ["Patient/a", "Patient/b"]


def test_the_golden_patient_does_not_show_identifiers_that_nobody_is_matched_by() -> None:
    assert "identifier" not in golden_patient("g", [patient(card=CARD, use="temp")])


def test_a_golden_patient_without_sources_points_to_the_person_it_turned_out_to_be() -> None:
    replaced = replaced_golden(golden_patient("g", [NAMED]), "h")
    assert replaced["active"] is False
    assert replaced["link"] == [{"other": {"reference": "Patient/h"}, "type": "replaced-by"}]
    assert "identifier" not in replaced


def test_every_source_has_a_golden_id_of_its_own() -> None:
    assert golden_id("a") == golden_id("a") != golden_id("b")


def test_only_what_identity_is_judged_by_is_evidence() -> None:
    assert same_evidence(NAMED, patient(card=CARD, phone="139"))
    assert not same_evidence(NAMED, patient("石秀瑛", card=CARD))
    assert not same_evidence(NAMED, patient(card=OTHER_CARD))
    assert not same_evidence(NAMED, patient(born="1963-05-21", card=CARD))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (NAMED, patient(card=OTHER_CARD), True),
        (NAMED, NAMED, False),
        (patient(), NAMED, False),
        (NAMED, patient(), False),
    ],
)
def test_a_card_that_changed_is_told(before: Patient, after: Patient, told: bool) -> None:
    assert (card_changed(before, after) is not None) is told
