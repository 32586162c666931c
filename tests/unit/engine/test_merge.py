"""What does a resource say after a message? What is left out stays, what is deleted goes, identifiers are gathered."""

from __future__ import annotations

from typing import Any

import pytest

from engine.identifiers import ID_CARD
from engine.recording.merge import merge
from tests.unit.engine.patients import CARD, OTHER_CARD, patient

A, B = {"system": "s", "value": "1"}, {"system": "s", "value": "2"}


@pytest.mark.parametrize(
    ("current", "incoming", "after"),
    [
        (None, {"gender": "female", "birthDate": None}, {"gender": "female"}),
        ({"gender": "female"}, {"birthDate": "1963"}, {"gender": "female", "birthDate": "1963"}),
        ({"gender": "female"}, {"gender": None}, {}),
        ({}, {"gender": None}, {}),
        ({"name": [{"family": "石"}]}, {"name": [{"family": "时"}]}, {"name": [{"family": "时"}]}),
        ({"identifier": [A]}, {"identifier": [B]}, {"identifier": [A, B]}),
        ({"identifier": [A, B]}, {"identifier": [{**A, "use": "old"}]}, {"identifier": [{**A, "use": "old"}, B]}),
        ({"identifier": [A]}, {}, {"identifier": [A]}),
        ({"identifier": [A]}, {"identifier": None}, {}),
    ],
)
def test_merging(current: dict[str, Any] | None, incoming: dict[str, Any], after: dict[str, Any]) -> None:
    assert merge(current, incoming) == after


def test_merging_changes_neither_side() -> None:
    current, incoming = {"identifier": [dict(A)]}, {"identifier": [dict(B)], "gender": None}
    merge(current, incoming)
    assert (current, incoming) == ({"identifier": [A]}, {"identifier": [B], "gender": None})


def _cards(resource: dict[str, Any]) -> dict[str, str]:
    return {i["value"]: i.get("use", "") for i in resource["identifier"] if i["system"] == ID_CARD}


def test_another_card_number_leaves_the_one_before_as_old() -> None:
    assert _cards(merge(patient(card=CARD), patient(card=OTHER_CARD))) == {CARD: "old", OTHER_CARD: "official"}


def test_a_card_number_with_a_wrong_check_digit_supersedes_nothing() -> None:
    assert _cards(merge(patient(card=CARD), patient(card="1", use="temp"))) == {CARD: "official", "1": "temp"}


def test_a_right_card_number_does_not_revive_a_wrong_one() -> None:
    assert _cards(merge(patient(card="1", use="temp"), patient(card=CARD))) == {"1": "temp", CARD: "official"}


R1, R2 = {"reference": "Observation/1"}, {"reference": "Observation/2"}


@pytest.mark.parametrize(
    ("status", "after"), [("preliminary", [R1, R2]), ("corrected", [R1, R2]), ("final", [R2]), (None, [R1, R2])]
)
def test_only_a_final_report_says_all_of_its_results(status: str | None, after: list[dict[str, Any]]) -> None:
    assert merge({"result": [R1]}, {"status": status, "result": [R2]})["result"] == after
