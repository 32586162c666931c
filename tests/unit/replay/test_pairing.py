"""Two versions of a resource differ in what was changed, and not in what only stands at another place."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.replay.pairing import ABSENT, differing

CARD = {"system": "urn:card", "value": "1"}
NUMBER = {"system": "urn:his", "value": "2", "use": "official"}
A, B = {"system": "urn:x", "code": "A"}, {"system": "urn:x", "code": "B"}


def told(had: dict[str, Any], has: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(each.path, each.was, each.becomes) for each in differing(had, has)]


@pytest.mark.parametrize(
    ("had", "has", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({}, {}, []),
        ({"a": "x"}, {"a": "y"}, [("a", "x", "y")]),
        ({"a": {"b": 1}}, {}, [("a.b", 1, ABSENT)]),
        ({"a": []}, {"a": ["x"]}, [("a", [], ["x"])]),
        ({"value": Decimal("5.10")}, {"value": Decimal("5.1")}, [("value", Decimal("5.10"), Decimal("5.1"))]),
        # what is put in front moves the others and changes none of them
        (
            {"identifier": [NUMBER]},
            {"identifier": [CARD, NUMBER]},
            [("identifier[0].system", ABSENT, "urn:card"), ("identifier[0].value", ABSENT, "1")],
        ),
        ({"coding": [A, B]}, {"coding": [B]}, [("coding[0].system", "urn:x", ABSENT), ("coding[0].code", "A", ABSENT)]),
        # the same one, said otherwise
        (
            {"identifier": [NUMBER, CARD]},
            {"identifier": [CARD, {**NUMBER, "use": "old"}]},
            [
                ("identifier[1].use", "official", "old"),
                ("identifier", [NUMBER, CARD], [CARD, {**NUMBER, "use": "old"}]),
            ],
        ),
        (
            {"extension": [{"url": "u", "valueString": "1"}]},
            {"extension": [{"url": "v", "valueString": "2"}, {"url": "u", "valueString": "3"}]},
            [
                ("extension[1].valueString", "1", "3"),
                ("extension[0].url", ABSENT, "v"),
                ("extension[0].valueString", ABSENT, "2"),
            ],
        ),
        # what has nothing of its own is paired by its place
        ({"given": ["一", "二"]}, {"given": ["零", "二"]}, [("given[0]", "一", "零")]),
        ({"given": ["一", "二"]}, {"given": ["二", "一"]}, [("given", ["一", "二"], ["二", "一"])]),
        (
            {"interpretation": [{"coding": [A]}]},
            {"interpretation": [{"coding": [B]}]},
            [("interpretation[0].coding[0].code", "A", "B")],
        ),
        ({"a": [{"use": "home"}]}, {"a": {"use": "home"}}, [("a", [{"use": "home"}], {"use": "home"})]),
    ],
)  # fmt: skip
def test_what_differs(had: dict[str, Any], has: dict[str, Any], found: list[tuple[str, Any, Any]]) -> None:
    assert told(had, has) == found


def test_long_lists_are_compared_in_a_moment() -> None:
    many = [{"system": "urn:x", "value": str(number)} for number in range(20_000)]
    (first, second) = told({"identifier": many}, {"identifier": [CARD, *many]})
    assert first[0] == "identifier[0].system"
    assert second[0] == "identifier[0].value"
