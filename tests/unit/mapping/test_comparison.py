"""What resources say and their copies do not is found, wherever it stands; order, ids and zones are no loss."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.mapping.lens.comparison import Comparison

LEAVES = st.one_of(st.text(max_size=4), st.integers(0, 9), st.booleans(), st.none(), st.decimals(0, 9, places=2))
NAMES = st.sampled_from(["a", "b", "c", "d"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(NAMES, inner, min_size=1, max_size=3), st.lists(inner, min_size=1, max_size=3, unique_by=repr)
    ),
    max_leaves=8,
)
RESOURCES = st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)


def lost(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str]]:
    return list(Comparison({"X/1": before}, {"X/2": after}).lost([("X/1", "X/2")]))


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not isinstance(value, (dict, list)):
        yield path
    for key, each in inner:
        yield from leaves(each, (*path, key))


@given(resource=RESOURCES)
def test_a_copy_loses_nothing(resource: dict[str, Any]) -> None:
    assert lost(resource, copy.deepcopy(resource)) == []


@given(resource=RESOURCES, extra=RESOURCES)
def test_more_said_elsewhere_is_no_loss(resource: dict[str, Any], extra: dict[str, Any]) -> None:
    assert lost(resource, {**extra, **resource}) == []


@given(data=st.data(), resource=RESOURCES)
def test_a_leaf_that_is_taken_away_is_named(data: st.DataObject, resource: dict[str, Any]) -> None:
    place = data.draw(st.sampled_from(list(leaves(resource))))
    without = copy.deepcopy(resource)
    target: Any = without
    for key in place[:-1]:
        target = target[key]
    del target[place[-1]]
    found = lost(resource, without)
    assert found
    assert all(path.startswith(str(place[0])) for _, path in found)


def test_the_order_of_a_list_is_no_loss() -> None:
    one, other = {"system": "a", "value": "1"}, {"system": "b", "value": "2"}
    assert lost({"identifier": [one, other]}, {"identifier": [other, one]}) == []


def test_an_entry_is_not_found_in_another_that_says_more() -> None:
    less, more = {"system": "phone"}, {"system": "phone", "value": "1"}
    assert lost({"telecom": [less, more]}, {"telecom": [more, less]}) == []


def test_an_element_of_which_nothing_is_left_is_named_as_a_whole() -> None:
    before = {"name": [{"family": "王", "given": ["小东"]}, {"family": "张"}], "gender": "male"}
    assert lost(before, {"name": [{"family": "张"}]}) == [("X/1", "name[0]"), ("X/1", "gender")]


@pytest.mark.parametrize(
    ("before", "after", "is_lost"),
    [
        (Decimal("5.10"), Decimal("5.1"), True),
        (Decimal("5.10"), Decimal("5.10"), False),
        ("2026-04-01T08:00:00+08:00", "2026-04-01T00:00:00Z", False),
        ("2026-04-01T08:00:00+08:00", "2026-04-01T08:00:00Z", True),
        ("2026-04-01", "2026-04-01T00:00:00+08:00", True),
        (None, None, False),
        (True, "true", True),
    ],
)
def test_leaves_are_compared_to_the_digit_and_the_moment(before: object, after: object, is_lost: bool) -> None:
    assert bool(lost({"a": before}, {"a": after})) is is_lost


def test_a_deleted_element_that_is_not_deleted_there_is_lost() -> None:
    assert lost({"a": None}, {}) == [("X/1", "a")]


def test_references_are_followed_to_what_they_name() -> None:
    before: dict[str, dict[str, Any]] = {
        "Order/1": {"subject": {"reference": "Patient/1"}},
        "Patient/1": {"name": "王", "phone": "1"},
        "Patient/2": {"name": "李"},
    }
    after: dict[str, dict[str, Any]] = {"Order/9": {"subject": {"reference": "Patient/9"}}, "Patient/9": {"name": "王"}}
    found = list(Comparison(before, after).lost([("Order/1", "Order/9")]))
    assert found == [("Patient/1", "phone"), ("Patient/2", "")]


def test_a_reference_that_names_another_resource_is_lost() -> None:
    before: dict[str, dict[str, Any]] = {
        "A/1": {"who": {"reference": "P/1"}},
        "B/1": {"who": {"reference": "P/2"}},
        "P/1": {"n": 1},
        "P/2": {"n": 1},
    }
    after: dict[str, dict[str, Any]] = {
        "A/9": {"who": {"reference": "P/9"}},
        "B/9": {"who": {"reference": "P/9"}},
        "P/9": {"n": 1},
    }
    found = list(Comparison(before, after).lost([("A/1", "A/9"), ("B/1", "B/9"), ("P/1", "P/9")]))
    assert found == [("B/1", "who.reference"), ("P/2", "")]
