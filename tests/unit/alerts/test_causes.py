"""From one look at the hub to what is wrong with it, and how long a silence may last."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from engine.alerts.causes import Disk, Kind, Look, causes, quiet_after_secs
from engine.alerts.working_time import working_secs
from engine.clock import CHINA
from engine.config.alerts import Alerts, Quiet, Weekday, WorkingHours
from engine.store.study_states import ShortSeen
from engine.store.watching import BacklogSeen, ChannelSeen, EndpointSeen, TroubleSeen

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
"""A Friday noon in China."""
NOTHING = Look((), BacklogSeen(0, None), (), (), (), (), (), Disk(1000, 500))
HOUR = timedelta(hours=1)
OFFICE = WorkingHours(
    days=(Weekday.MON, Weekday.TUE, Weekday.WED, Weekday.THU, Weekday.FRI), start=time(8), end=time(18)
)


def keys(look: Look, alerts: Alerts | None = None, channels: tuple[str, ...] = ("his",)) -> list[str]:
    return [cause.key for cause in causes(look, alerts or Alerts(), channels, AT)]


def gaps(*secs: float) -> dict[date, float]:
    return {date(2026, 11, day): value for day, value in enumerate(secs, 1)}


def test_a_hub_in_order_has_no_cause() -> None:
    assert keys(NOTHING) == []


@pytest.mark.parametrize(
    ("since", "until", "hours"),
    [
        ("2026-11-20T09:00+08:00", "2026-11-20T12:00+08:00", 3),
        ("2026-11-20T17:00+08:00", "2026-11-23T09:00+08:00", 2),  # over a weekend
        ("2026-11-20T11:00+00:00", "2026-11-20T23:00+00:00", 0),  # a night
        ("2026-11-16T00:00+08:00", "2026-11-23T00:00+08:00", 50),
        ("2026-11-20T12:00+08:00", "2026-11-20T09:00+08:00", 0),
    ],
)
def test_only_working_time_counts(since: str, until: str, hours: float) -> None:
    assert working_secs(datetime.fromisoformat(since), datetime.fromisoformat(until), OFFICE) == hours * 3600


def test_without_hours_all_time_counts_and_years_cost_nothing() -> None:
    assert working_secs(AT - 30 * HOUR, AT, None) == 30 * 3600
    assert working_secs(datetime(1970, 1, 1, tzinfo=UTC), AT, OFFICE) < 400 * 10 * 3600


@pytest.mark.parametrize(
    ("rule", "known", "limit"),
    [
        (Quiet(name="his", quiet_after_secs=60), gaps(), 60),
        (Quiet(name="his", quiet_after_secs=60, expected=False), gaps(), None),
        (Quiet(name="his"), gaps(1, 2, 3, 4), None),  # too little is known
        (Quiet(name="his"), gaps(1, 2, 3, 4, 5), 3600),
        (Quiet(name="his"), gaps(1, 2, 3, 40_000, 5), 60_000),
    ],
)
def test_how_long_a_channel_may_be_silent(rule: Quiet, known: dict[date, float], limit: float | None) -> None:
    assert quiet_after_secs(rule, ChannelSeen("his", AT, known), learn=True) == limit


def test_nothing_is_learned_where_it_is_not_wanted() -> None:
    assert quiet_after_secs(Quiet(name="his"), ChannelSeen("his", AT, gaps(*range(9))), learn=False) is None


def test_a_channel_that_is_silent_for_longer_than_usual() -> None:
    look = replace(NOTHING, channels=[ChannelSeen("his", AT - 2 * HOUR, gaps(*[100.0] * 7))])
    assert keys(look) == ["channel-quiet/his"]
    assert keys(look, channels=("other",)) == []  # it has been taken out of the configuration


def test_a_channel_of_an_office_may_be_silent_at_night() -> None:
    rule = Quiet(name="his", quiet_after_secs=3 * 3600, working_hours=OFFICE)
    friday_evening = ChannelSeen("his", datetime(2026, 11, 19, 17, 30, tzinfo=CHINA), {})
    look = replace(NOTHING, channels=[friday_evening])
    assert keys(look, Alerts(channels={"his": rule})) == ["channel-quiet/his"]  # noon: four and a half hours
    later = replace(friday_evening, last_at=datetime(2026, 11, 20, 9, 30, tzinfo=CHINA))
    assert keys(replace(NOTHING, channels=[later]), Alerts(channels={"his": rule})) == []


@pytest.mark.parametrize(("age", "found"), [(299, []), (300, ["backlog/inbox"])])
def test_messages_that_wait_for_too_long(age: int, found: list[str]) -> None:
    look = replace(NOTHING, backlog=BacklogSeen(3, AT - timedelta(seconds=age)))
    assert keys(look) == found


@pytest.mark.parametrize(
    ("waited", "found"),
    [
        ([1000, 2000, 3000], ["backlog/inbox"]),
        ([3000, 3000, 3000], ["backlog/inbox"]),  # not fewer in a quarter of an hour
        ([5000, 6000, 7000], []),  # fewer now
        ([1000, 9000, 3000], []),  # it shrank in between
        ([], []),
    ],
)
def test_a_backlog_that_grows(waited: list[int], found: list[str]) -> None:
    moments = [AT - timedelta(seconds=900), AT - timedelta(seconds=400), AT - timedelta(seconds=15)]
    look = replace(NOTHING, backlog=BacklogSeen(4000, AT), growth=list(zip(moments, waited, strict=False)))
    assert keys(look) == found


def test_a_small_backlog_may_grow_as_it_likes() -> None:
    look = replace(NOTHING, backlog=BacklogSeen(900, AT), growth=[(AT - HOUR, 1)])
    assert keys(look) == []


def test_an_endpoint_is_away_once_its_attempts_have_failed_for_long_enough() -> None:
    seen = EndpointSeen("his", 7, AT - HOUR, AT - timedelta(seconds=119), "ConnectionRefused")
    assert keys(replace(NOTHING, endpoints=[seen])) == []
    away = replace(seen, failing_since=AT - timedelta(seconds=120))
    assert [(c.key, c.code, c.amount) for c in causes(replace(NOTHING, endpoints=[away]), Alerts(), (), AT)] == [
        ("endpoint-away/his", "ConnectionRefused", 7)
    ]
    untried = replace(seen, failing_since=None, last_error="")
    assert causes(replace(NOTHING, endpoints=[untried]), Alerts(), (), AT)[0].code == "not-tried"


def test_one_cause_for_each_channel_and_code_and_one_for_all_dead_letters_of_an_endpoint() -> None:
    look = replace(
        NOTHING,
        held=[TroubleSeen("his", "no-mapping", 10_000, AT), TroubleSeen("his", "mapping-failed", 1, AT)],
        refused=[TroubleSeen("lis", "", 3, AT)],
        errors=[TroubleSeen("", "request-not-closed", 1, AT)],
    )
    assert keys(look) == [
        "dead-letters/lis",
        "held/his/no-mapping",
        "held/his/mapping-failed",
        "error//request-not-closed",
    ]


@pytest.mark.parametrize(("free", "found"), [(101, []), (99, [("disk/data", 90)]), (0, [("disk/data", 100)])])
def test_a_disk_that_is_nearly_full(free: int, found: list[tuple[str, int]]) -> None:
    look = replace(NOTHING, disk=Disk(1000, free))
    assert [(cause.key, cause.amount) for cause in causes(look, Alerts(), (), AT)] == found
    assert all(cause.kind is Kind.DISK for cause in causes(look, Alerts(), (), AT))


def test_a_data_folder_of_another_machine_says_nothing() -> None:
    assert keys(replace(NOTHING, disk=None)) == []
    assert keys(replace(NOTHING, disk=Disk(0, 0))) == []


def short(number: int) -> ShortSeen:
    return ShortSeen(f"1.2.{number}", "baishi", AT - HOUR, 2, (f"1.2.{number}.1", f"1.2.{number}.2"))


def test_a_study_that_stays_short_is_an_incident_that_names_what_is_missing() -> None:
    (cause,) = causes(replace(NOTHING, short=[short(3)]), Alerts(), (), AT)
    assert (cause.key, cause.amount, cause.details) == ("study-short/baishi/1.2.3", 2, "1.2.3.1 1.2.3.2")


def test_a_flood_of_short_studies_is_told_as_one_beyond_a_hundred() -> None:
    found = causes(replace(NOTHING, short=[short(number) for number in range(130)]), Alerts(), (), AT)
    assert len(found) == 101
    assert (found[-1].key, found[-1].amount) == ("studies-short/", 60)


def test_of_many_missing_instances_the_first_are_named() -> None:
    seen = ShortSeen("1.2.3", "baishi", AT, 100, tuple(f"1.2.3.{number}" for number in range(100)))
    (cause,) = causes(replace(NOTHING, short=[seen]), Alerts(), (), AT)
    assert len(cause.details.split()) == 20
