"""People of the simulators look real to a checker and are nobody."""

from __future__ import annotations

from datetime import date

from id_validator import validator

from conformance.simulators.people import id_card


def test_an_id_card_passes_a_checker_that_others_wrote() -> None:
    assert validator.is_valid(id_card(date(1956, 3, 12), "F", "B0001"))
    assert validator.is_valid(id_card(date(2001, 12, 31), "M", "B0002"))


def test_the_same_seed_gives_the_same_card_and_another_seed_another() -> None:
    born = date(1956, 3, 12)
    assert id_card(born, "F", "B0001") == id_card(born, "F", "B0001")
    assert id_card(born, "F", "B0001") != id_card(born, "F", "B0002")


def test_the_card_says_the_sex() -> None:
    assert int(id_card(date(1956, 3, 12), "F", "B0001")[16]) % 2 == 0
    assert int(id_card(date(1956, 3, 12), "M", "B0001")[16]) % 2 == 1
