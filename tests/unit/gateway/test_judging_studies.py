"""A study is whole when all that was announced is there, short when it stays away, late when more comes afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine.store.wholeness import Facts, Judged, State, Statement
from pacs_gateway.whole.judging import Patience, is_to_be_asked, judge

CAME = datetime(2026, 11, 20, 4, tzinfo=UTC)
PATIENCE = Patience(whole=timedelta(seconds=300), short=timedelta(seconds=60))

QUIET = Facts(
    uid="1.2.3",
    facility="baishi",
    peer="CT@10.0.0.7:1",
    coming=False,
    stored=CAME,
    said_at=None,
    have={"1.2.3.1": 2, "1.2.3.2": 1},
    statements=(),
    absent=(),
    before=State.RECEIVING,
    whole_at=None,
    asked_at=None,
    came_late=False,
)
MPPS = Statement("mpps", 3, {}, None, final=True)
RUNNING = Statement("mpps", 3, {}, None)
COMMITMENT = Statement("commitment", 3, {}, None)
WHOLE = replace(QUIET, whole_at=CAME)


def judged(facts: Facts, secs: float, *, asks: bool = False) -> Judged:
    found = judge(facts, PATIENCE, asks, CAME + timedelta(seconds=secs))
    assert found is not None
    return found


def counted(source: str, *, whole: int | None = None, **series: int) -> Statement:
    return Statement(source, 0, {f"1.2.3.{number[1:]}": count for number, count in series.items()}, whole)


TABLE = {
    "nothing announced, quiet for a moment": (QUIET, 1, State.RECEIVING),
    "nothing announced, quiet for long": (QUIET, 300, State.WHOLE),
    "objects still come": (replace(QUIET, coming=True, statements=[MPPS]), 500, State.RECEIVING),
    "all of the step is there": (replace(QUIET, statements=[MPPS]), 1, State.WHOLE),
    "all of a step that still runs is there": (replace(QUIET, statements=[RUNNING]), 61, State.RECEIVING),
    "all that is to be committed is there, and more may come": (
        replace(QUIET, statements=[COMMITMENT]), 61, State.RECEIVING,
    ),
    "all that is to be committed is there, quiet for long": (
        replace(QUIET, statements=[COMMITMENT]), 300, State.WHOLE,
    ),
    "one is missing, quiet for a moment": (
        replace(QUIET, statements=[MPPS], absent=["1.2.3.1.9"]), 59, State.RECEIVING,
    ),
    "one is missing, quiet for long": (replace(QUIET, statements=[MPPS], absent=["1.2.3.1.9"]), 60, State.SHORT),
    "the sender counts more": (replace(QUIET, statements=[counted("query", whole=4)]), 60, State.SHORT),
    "the sender counts as many": (replace(QUIET, statements=[counted("query", whole=3)]), 300, State.WHOLE),
    "the sender counts fewer": (replace(QUIET, statements=[counted("query", whole=1)]), 300, State.WHOLE),
    "one series has fewer, another more": (
        replace(QUIET, statements=[counted("query", s1=1, s2=2)]), 60, State.SHORT,
    ),
    "a series is not there at all": (replace(QUIET, statements=[counted("query", s9=7)]), 60, State.SHORT),
    "more came after it was whole": (replace(WHOLE, came_late=True), 1, State.LATE),
    "more came after it was whole, and it stays so": (replace(WHOLE, came_late=True), 9000, State.LATE),
    "more came, and still something is missing": (
        replace(WHOLE, came_late=True, statements=[MPPS], absent=["1.2.3.1.9"]), 60, State.SHORT,
    ),
    "it was whole, and is told to have more": (
        replace(WHOLE, statements=[MPPS], absent=["1.2.3.1.9"], said_at=CAME + timedelta(hours=1)), 3660, State.SHORT,
    ),
    "it was whole, and nothing has changed": (WHOLE, 1, State.WHOLE),
    "nothing has come of what was announced": (
        replace(QUIET, peer="", stored=None, said_at=CAME, have={}, statements=[MPPS], absent=["1", "2", "3"]),
        60, State.SHORT,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "secs", "state"), TABLE.values(), ids=TABLE)
def test_how_a_study_stands(facts: Facts, secs: float, state: State) -> None:
    assert judged(facts, secs).state is state


@pytest.mark.parametrize(
    ("facts", "look_secs"),
    [(QUIET, 300), (replace(QUIET, statements=[MPPS], absent=["9"]), 60), (replace(QUIET, coming=True), None)],
    ids=["until it is whole", "until it is short", "until it falls quiet"],
)
def test_a_study_is_judged_again_when_time_may_change_it(facts: Facts, look_secs: int | None) -> None:
    expected = None if look_secs is None else CAME + timedelta(seconds=look_secs)
    assert judged(facts, 1).look_at == expected


def test_a_study_that_is_whole_is_whole_since_its_last_object() -> None:
    assert judged(replace(QUIET, statements=[MPPS]), 5).whole_at == CAME
    assert judged(replace(QUIET, statements=[MPPS], absent=["9"]), 99).whole_at is None


def test_what_is_missing_is_named_and_counted() -> None:
    facts = replace(QUIET, statements=[MPPS, counted("query", whole=9)], absent=["1.2.3.1.8", "1.2.3.1.9"])
    found = judged(facts, 60)
    assert (found.missing, found.missing_uids) == (6, ("1.2.3.1.8", "1.2.3.1.9"))
    assert (found.announced, found.sources) == (9, ("mpps", "query"))


def test_a_sender_that_can_be_asked_is_asked_before_its_study_is_whole() -> None:
    assert judged(replace(QUIET, statements=[MPPS]), 1, asks=True).state is State.RECEIVING
    assert judged(QUIET, 1, asks=True).look_at == CAME + timedelta(seconds=60)
    assert not is_to_be_asked(QUIET, PATIENCE, CAME + timedelta(seconds=59))
    assert is_to_be_asked(QUIET, PATIENCE, CAME + timedelta(seconds=60))
    answered = replace(QUIET, asked_at=CAME + timedelta(seconds=60))
    assert not is_to_be_asked(answered, PATIENCE, CAME + timedelta(seconds=99))
    more = replace(answered, stored=CAME + timedelta(seconds=70))
    assert is_to_be_asked(more, PATIENCE, CAME + timedelta(seconds=130))


def test_of_nothing_there_is_nothing_to_judge() -> None:
    assert judge(replace(QUIET, stored=None, have={}), PATIENCE, False, CAME) is None
