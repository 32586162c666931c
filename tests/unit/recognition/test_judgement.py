"""May an earlier result stand for an order? Each row breaks one rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine.recognition import Asked, Earlier, Rules, Verdict, judge

NOW = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)
RULES = Rules(default_days=30, days_of_item={"RX-CHEST": 14, "K": 7})
ASKED = Asked(codes=frozenset({"RX-CHEST", "DR001"}), facility="qingxi-county", at=NOW)
EARLIER = Earlier(
    report="DiagnosticReport/1",
    codes=frozenset({"RX-CHEST", "BS-77"}),
    facility="baishi",
    observed_at=NOW - timedelta(days=3),
    final=True,
    data=("ImagingStudy/1",),
)


def codes_against(asked: Asked, earlier: Earlier, rules: Rules = RULES) -> list[str]:
    return [reason.code for reason in judge(asked, earlier, rules).reasons if reason.against]


def test_a_signed_recent_result_of_another_facility_stands_for_the_order() -> None:
    judgement = judge(ASKED, EARLIER, RULES)
    assert judgement.verdict is Verdict.ALLOW
    assert (judgement.age_days, judgement.valid_days) == (3, 14)
    assert [reason.code for reason in judgement.reasons] == [
        "same-item",
        "within-validity",
        "within-community",
        "signed",
        "data-available",
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"codes": frozenset({"CT-HEAD"})}, "other-item"),
        ({"observed_at": NOW - timedelta(days=15)}, "expired"),
        ({"observed_at": NOW + timedelta(hours=1)}, "in-the-future"),
        ({"facility": "qingxi-county"}, "same-facility"),
        ({"final": False}, "not-signed"),
        ({"data": ()}, "no-data"),
    ],
)
def test_one_reason_against_denies_and_is_named(change: dict[str, object], code: str) -> None:
    earlier = replace(EARLIER, **change)  # type: ignore[arg-type]  # the table changes one field of any type
    assert codes_against(ASKED, earlier) == [code]
    assert judge(ASKED, earlier, RULES).verdict is Verdict.DENY


@pytest.mark.parametrize(
    ("age", "against"),
    [(timedelta(days=14), []), (timedelta(days=14, hours=23), []), (timedelta(days=15), ["expired"])],
)
def test_the_last_day_of_validity_still_counts(age: timedelta, against: list[str]) -> None:
    assert codes_against(ASKED, replace(EARLIER, observed_at=NOW - age)) == against


@pytest.mark.parametrize(("codes", "days"), [({"X"}, 30), ({"RX-CHEST"}, 14), ({"RX-CHEST", "K", "X"}, 7)])
def test_the_strictest_rule_of_an_item_holds_and_the_default_otherwise(codes: set[str], days: int) -> None:
    assert RULES.days(frozenset(codes)) == days


def test_every_reason_against_is_told_not_only_the_first() -> None:
    earlier = replace(EARLIER, final=False, data=(), observed_at=NOW - timedelta(days=99))
    assert codes_against(ASKED, earlier) == ["expired", "not-signed", "no-data"]
