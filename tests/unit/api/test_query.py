"""A query string is understood exactly as FHIR says, or refused by the name of its parameter."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.fhir.query import LARGEST_COUNT, Asked, asked, cursor, pairs_of
from engine.errors import ParseError
from engine.store.search import Place

BASE = "http://hub.test/fhir"


def understood(resource_type: str, query: str, *, lenient: bool = False) -> Asked:
    return asked(resource_type, pairs_of(query), BASE, lenient=lenient)


@pytest.mark.parametrize(
    ("query", "tokens"),
    [
        ("identifier=1", [("identifier=1",)]),
        ("identifier=urn:x|1", [("identifier@urn:x|1",)]),
        ("identifier=|1", [("identifier@|1",)]),
        ("identifier=1,2", [("identifier=1", "identifier=2")]),
        ("identifier=1&identifier=2", [("identifier=1",), ("identifier=2",)]),
        (r"identifier=a\,b", [("identifier=a,b",)]),
        (r"identifier=a\|b", [("identifier=a|b",)]),
        (r"identifier=x|a\|b", [("identifier@x|a|b",)]),
        (r"identifier=a\\", [("identifier=a\\",)]),
        ("identifier=", []),
        ("name=Zhang%20Wei", [("name=zhangwei",)]),
        ("birthdate=1980-02", [("birthdate=1980-02",)]),
    ],
)
def test_values_alternatives_and_escapes_become_tokens(query: str, tokens: list[tuple[str, ...]]) -> None:
    assert list(understood("Patient", query).groups) == tokens


def test_a_status_with_the_system_of_its_element_is_the_same_status() -> None:
    assert understood("Task", "status=http://hl7.org/fhir/task-status|requested").groups == (
        ("status=Task/requested",),
    )


@pytest.mark.parametrize("value", ["p", "Patient/p", f"{BASE}/Patient/p", "Patient/p/_history/3"])
def test_a_person_is_named_by_id_reference_or_address(value: str) -> None:
    assert understood("Observation", urlencode({"patient": value})).people[0].patients == ("p",)


def test_a_reference_to_another_server_finds_nothing_here() -> None:
    with pytest.raises(ParseError):
        understood("Observation", "patient=http://elsewhere/fhir/Patient/p")


@pytest.mark.parametrize(
    ("query", "start", "end"),
    [
        ("_lastUpdated=ge2026-03-02", datetime(2026, 3, 1, 16, tzinfo=UTC), None),
        ("_lastUpdated=gt2026-03-02", datetime(2026, 3, 2, 16, tzinfo=UTC), None),
        ("_lastUpdated=le2026-03-02", None, datetime(2026, 3, 2, 16, tzinfo=UTC)),
        ("_lastUpdated=lt2026-03-02T08:00:00Z", None, datetime(2026, 3, 2, 8, tzinfo=UTC)),
        ("_lastUpdated=le2026-03-02T08:00:00.5Z", None, datetime(2026, 3, 2, 8, 0, 0, 600_000, UTC)),
        ("_lastUpdated=ge2026-03-02T08:00", datetime(2026, 3, 2, 0, 0, tzinfo=UTC), None),
    ],
)
def test_a_day_is_a_day_in_china_and_a_moment_lasts_as_long_as_it_is_precise(
    query: str, start: datetime | None, end: datetime | None
) -> None:
    search = understood("Patient", query)
    assert (search.updated_from, search.updated_until) == (start, end)


def test_a_count_is_bounded_and_nought_asks_for_the_number_alone() -> None:
    assert understood("Patient", "_count=100000").count == LARGEST_COUNT
    assert understood("Patient", "_count=0").only_count


def test_a_cursor_brings_back_the_place_it_was_made_from() -> None:
    place = Place(datetime(2026, 3, 2, 8, 30, 0, 123_457, UTC), "a-b.c")
    assert understood("Patient", urlencode([cursor(place)])).after == place


def test_a_name_that_is_no_name_is_not_repeated_in_the_error() -> None:
    with pytest.raises(ParseError) as refused:
        understood("Patient", "张三 110105194912310021=1")
    assert "110105" not in f"{refused.value.location}{refused.value}"


@given(st.text(), st.text())
def test_whatever_is_asked_is_understood_or_refused(name: str, value: str) -> None:
    for parameter in (name, "identifier", "_lastUpdated", "_cursor", "_count", "birthdate", "name", "_id"):
        said = refusal_of(urlencode({parameter: value}, errors="replace"))
        assert len(value) < 9 or value not in said


def refusal_of(query: str) -> str:
    """What the refusal says; empty when the query is understood."""
    try:
        understood("Patient", query, lenient=True)
    except ParseError as refusal:
        return f"{refusal.message} {refusal.location}"
    return ""
