"""Which fields nobody reads: each is named once, in the order of the message, however long its segment is."""

from __future__ import annotations

from engine.mapping.unread import LIMIT_FIELDS, Unread, UnreadRows


def segment(name: str, **fields: str) -> list[str]:
    numbers = {int(number.removeprefix("f")): value for number, value in fields.items()}
    return [name, *(numbers.get(number, "") for number in range(1, max(numbers, default=0) + 1))]


def test_nothing_is_named_where_such_fields_are_empty() -> None:
    rows = UnreadRows([Unread({3, 5}), Unread({3, 5})])
    assert rows.filled([segment("OBX", f1="1", f4="x"), segment("OBX", f2="NM", f6="y")]) == []


def test_a_field_is_named_once_and_in_the_order_of_the_message() -> None:
    result = Unread({3, 5, 9})
    rows = UnreadRows([Unread({2}), result, result, result])
    said = [segment("PID", f2="x"), segment("OBX", f5="a"), segment("OBX", f5="b", f9="c"), segment("OBX", f3="d")]
    assert rows.filled(said) == ["PID-2", "OBX-5", "OBX-9", "OBX-3"]


def test_segments_of_one_name_may_differ_in_length() -> None:
    result = Unread({2, 12})
    rows = UnreadRows([result, result, result])
    assert rows.filled([["OBX"], segment("OBX", f12="x"), segment("OBX", f1="1")]) == ["OBX-12"]


def test_a_segment_of_which_every_field_is_read_has_none_however_long_it_is() -> None:
    assert UnreadRows([Unread(())]).filled([segment("MSH", f300="x")]) == []


def test_a_segment_of_endless_fields_is_looked_through_as_far_as_any_version_goes() -> None:
    every = Unread(range(1, LIMIT_FIELDS + 1))
    for length in range(1, 3 * LIMIT_FIELDS, 7):
        found = UnreadRows([every]).filled([["ZZZ", *["x"] * length]])
        assert found == [f"ZZZ-{number}" for number in range(1, min(length, LIMIT_FIELDS) + 1)]
