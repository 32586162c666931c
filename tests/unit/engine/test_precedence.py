"""May a version replace the one on record? The whole table, state by state and time by time."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.finding import Severity
from engine.recording.precedence import Late, compared, order_too_late, result_too_late
from engine.recording.superseded import too_late

UNSETTLED = ["registered", "partial", "preliminary"]
SETTLED = ["final", "amended", "corrected", "appended", "cancelled", "entered-in-error"]
NINE, TEN = "2026-11-21T09:00:00+08:00", "2026-11-21T10:00:00+08:00"

#   on record            comes               without times     with an older time
TABLE: list[tuple[str, str, Late | None, Late | None]] = [
    ("preliminary", "final", None, None),
    ("registered", "preliminary", None, Late.VERSION),
    ("preliminary", "registered", Late.VERSION, Late.VERSION),
    ("preliminary", "preliminary", None, Late.VERSION),
    ("partial", "preliminary", None, Late.VERSION),
    ("final", "final", None, Late.VERSION),
    ("final", "corrected", None, Late.VERSION),
    ("final", "cancelled", None, Late.VERSION),
    ("final", "entered-in-error", None, Late.VERSION),
    ("corrected", "final", Late.VERSION, Late.VERSION),
    ("corrected", "amended", None, Late.VERSION),
    ("corrected", "entered-in-error", None, Late.VERSION),
    ("entered-in-error", "final", Late.VERSION, Late.VERSION),
    ("entered-in-error", "corrected", Late.VERSION, Late.VERSION),
    ("cancelled", "final", None, Late.VERSION),
    ("final", "unknown", Late.PRELIMINARY, Late.PRELIMINARY),
    ("unknown", "preliminary", None, None),
    ("unknown", "unknown", None, None),
    ("preliminary", "unknown", None, Late.VERSION),
]


@pytest.mark.parametrize(("current", "incoming", "untimed", "older"), TABLE)
def test_results(current: str, incoming: str, untimed: Late | None, older: Late | None) -> None:
    assert result_too_late(current, incoming) == untimed
    assert result_too_late(current, incoming, NINE, NINE) == untimed
    assert result_too_late(current, incoming, TEN, NINE) == older


@pytest.mark.parametrize(("current", "incoming"), list(product(SETTLED, [*UNSETTLED, "unknown", ""])))
def test_what_is_not_settled_never_replaces_what_is(current: str, incoming: str) -> None:
    for times in (("", ""), (NINE, TEN), (TEN, NINE), (NINE, "")):
        assert result_too_late(current, incoming, *times) is Late.PRELIMINARY


@pytest.mark.parametrize(("current", "incoming"), list(product(UNSETTLED, SETTLED)))
def test_what_is_settled_replaces_what_is_not_whatever_the_times_say(current: str, incoming: str) -> None:
    assert result_too_late(current, incoming, TEN, NINE) is None


@pytest.mark.parametrize(("current", "incoming"), list(product(SETTLED, SETTLED)))
def test_a_newer_settled_version_replaces_any(current: str, incoming: str) -> None:
    assert result_too_late(current, incoming, NINE, TEN) is None


@given(st.permutations([("preliminary", 1), ("final", 2), ("corrected", 3), ("entered-in-error", 4)]))
def test_versions_with_times_end_the_same_in_any_order(versions: list[tuple[str, int]]) -> None:
    state, at = "", ""
    for status, hour in versions:
        when = f"2026-11-21T1{hour}:00:00+08:00"
        if not result_too_late(state, status, at, when):
            state, at = status, when
    assert state == "entered-in-error"


@given(st.permutations(["registered", "preliminary", "final", "corrected", "entered-in-error"]))
def test_versions_without_times_end_the_same_in_any_order(versions: list[str]) -> None:
    state = ""
    for status in versions:
        state = state if result_too_late(state, status) else status
    assert state == "entered-in-error"


@pytest.mark.parametrize(
    ("current", "incoming", "older", "newer"),
    [
        ("active", "active", Late.VERSION, None),
        ("completed", "active", Late.VERSION, None),
        ("revoked", "active", Late.VERSION, None),
        ("active", "completed", None, None),
        ("active", "revoked", None, None),
        ("revoked", "revoked", Late.VERSION, None),
    ],
)
def test_orders(current: str, incoming: str, older: Late | None, newer: Late | None) -> None:
    assert order_too_late(current, incoming, TEN, NINE) == older
    assert order_too_late(current, incoming, NINE, TEN) == newer
    assert order_too_late(current, incoming) is None


@pytest.mark.parametrize(
    ("one", "other", "order"),
    [
        (NINE, TEN, -1),
        (TEN, NINE, 1),
        (NINE, NINE, 0),
        ("2026-11-21T01:00:00Z", NINE, 0),
        ("2026-11-21T01:00:00", NINE, -1),
        ("2026-11-21", NINE, 0),
        ("2026-11-20", NINE, -1),
        ("2026-11-22", NINE, 1),
        ("2026-11", NINE, 0),
        ("", NINE, 0),
        ("2026-13-45", NINE, 0),
        ("9999-12-31", NINE, 0),
        ("昨天T", NINE, 0),
    ],
)
def test_times(one: str, other: str, order: int) -> None:
    assert compared(one, other) == order
    assert compared(other, one) == -order


def _report(status: str, *results: str, issued: str = "") -> dict[str, Any]:
    listed = [{"reference": f"Observation/{result}"} for result in results]
    return {"resourceType": "DiagnosticReport", "id": "r", "status": status, "issued": issued, "result": listed}


def _result(number: str, status: str) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": number, "status": status}


def _by_reference(*resources: dict[str, Any]) -> dict[str, Any]:
    return {f"{r['resourceType']}/{r['id']}": r for r in resources}


def test_a_late_report_speaks_for_its_results() -> None:
    there = _by_reference(_report("final", "1", "2"), _result("1", "final"), _result("2", "final"))
    found = list(
        too_late([_report("preliminary", "1", "2"), _result("1", "preliminary"), _result("2", "final")], there.get)
    )
    assert [each.reference for each in found] == ["DiagnosticReport/r", "Observation/1"]
    assert [each.finding is not None for each in found] == [True, False]
    assert found[0].finding is not None
    assert (found[0].finding.code, found[0].finding.severity) == ("late-preliminary", Severity.INFORMATION)


def test_a_late_result_of_a_report_in_time_has_a_finding_of_its_own() -> None:
    there = _by_reference(_report("final", "1"), _result("1", "corrected"))
    (late,) = too_late([_report("final", "1"), _result("1", "final")], there.get)
    assert late.finding is not None
    assert (late.reference, late.finding.code, late.finding.location) == ("Observation/1", "late-version", "OBX-11")


def test_the_time_of_a_report_is_that_of_its_results() -> None:
    there = _by_reference(_report("final", "1", issued=TEN), _result("1", "final"))
    late = [each.reference for each in too_late([_report("final", "1", issued=NINE), _result("1", "final")], there.get)]
    assert late == ["DiagnosticReport/r", "Observation/1"]


def test_what_is_new_is_never_late() -> None:
    assert list(too_late([_report("preliminary", "1"), _result("1", "preliminary")], lambda _: None)) == []


def test_other_resources_are_never_late() -> None:
    visit = {"resourceType": "Encounter", "id": "v", "status": "planned"}
    assert list(too_late([visit], {"Encounter/v": {**visit, "status": "finished"}}.get)) == []
