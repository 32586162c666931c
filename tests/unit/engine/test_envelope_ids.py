"""Envelope ids are UUIDv7 that never run backwards, whatever the clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

from engine.envelope import EnvelopeIds, arrived_at, first_id_at

AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


def test_ids_of_one_millisecond_rise() -> None:
    ids = EnvelopeIds(Random(1).getrandbits)
    made = [ids.next(AT) for _ in range(100)]
    assert all(first < second for first, second in pairwise(made))
    assert {arrived_at(one) for one in made} == {AT}


def test_more_ids_than_a_millisecond_can_number_go_on_into_the_next() -> None:
    ids = EnvelopeIds(Random(1).getrandbits)
    made = [ids.next(AT) for _ in range(10_000)]
    assert all(first < second for first, second in pairwise(made))
    assert arrived_at(made[4095]) == AT
    assert arrived_at(made[4096]) == AT + timedelta(milliseconds=1)


def test_a_clock_that_steps_back_makes_no_smaller_id() -> None:
    ids = EnvelopeIds(Random(1).getrandbits)
    steps = [0, 5, -3_600_000, -1, 2, 6]
    made = [ids.next(AT + timedelta(milliseconds=step)) for step in steps]
    assert all(first < second for first, second in pairwise(made))
    assert arrived_at(made[-1]) == AT + timedelta(milliseconds=6)


def test_an_id_is_a_uuid_of_version_7() -> None:
    for bits in (lambda n: 0, lambda n: (1 << n) - 1):
        made = EnvelopeIds(bits).next(AT)
        assert (made.version, made.variant) == (7, "specified in RFC 4122")


def test_two_processes_make_different_ids_at_one_moment() -> None:
    assert EnvelopeIds(Random(1).getrandbits).next(AT) != EnvelopeIds(Random(2).getrandbits).next(AT)


def test_the_first_id_of_a_moment_bounds_all_of_them() -> None:
    ids = EnvelopeIds(lambda _: 0)
    before, after = ids.next(AT - timedelta(milliseconds=1)), ids.next(AT)
    assert before < first_id_at(AT) < after
