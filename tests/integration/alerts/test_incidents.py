"""One incident for one trouble, told once, told again at growing intervals, and told once more when it is over."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import asyncpg
import pytest

from engine.alerts.watch import Watch
from engine.config.alerts import Quiet
from engine.errors import NotFoundError, RequestStateError
from engine.store import incidents
from tests.integration.alerts.conftest import START, Scene

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


async def test_a_flood_of_ten_thousand_is_one_incident_and_one_notice(scene: Scene) -> None:
    watch = scene.watch()
    await scene.held(10_000)
    for _ in range(5):
        await scene.look(watch)
    assert await scene.incidents() == [("held/qingxi-his/no-mapping", True)]
    assert scene.told.events == [("opened", "held")]
    event = scene.told.notices[0].events[0]
    assert (event["amount"], event["subject"], event["code"]) == (10_000, "qingxi-his", "no-mapping")
    assert "10000 条" in event["text_zh"]
    assert "messages: 10000" in event["text_en"]


async def test_a_burst_of_many_causes_is_one_notice(scene: Scene) -> None:
    watch = scene.watch()
    for number in range(30):
        await scene.held(1, code=f"code-{number}")
    await scene.look(watch)
    assert len(await scene.incidents()) == 30
    assert [len(notice.events) for notice in scene.told.notices] == [30]
    for number in range(30, 60):  # it goes on: gathered until the next notice may leave
        await scene.held(1, code=f"code-{number}")
        await scene.look(watch, timedelta(seconds=1))
    assert [len(notice.events) for notice in scene.told.notices] == [30]
    await scene.look(watch, MINUTE)
    assert [len(notice.events) for notice in scene.told.notices] == [30, 30]


async def test_a_restart_tells_nothing_again(scene: Scene) -> None:
    await scene.held(3)
    for _ in range(4):
        await scene.look(scene.watch(), 2 * MINUTE)
    assert scene.told.events == [("opened", "held")]


async def test_reminders_come_at_growing_intervals(scene: Scene) -> None:
    watch = scene.watch()
    await scene.held(1)
    await scene.look(watch)
    times: list[datetime] = []
    for _ in range(60):
        await scene.look(watch, HOUR)
        times += [scene.now for notice in scene.told.notices[len(times) + 1 :]]
    assert [event for event, _ in scene.told.events] == ["opened"] + ["reminder"] * 4
    assert [round((at - START) / HOUR) for at in times] == [1, 5, 29, 53]


async def test_it_closes_once_the_trouble_has_been_gone_for_a_while_and_opens_anew_later(scene: Scene) -> None:
    watch = scene.watch()
    for _ in range(3):  # it flaps: each time it is back before the incident closes
        await scene.held(2)
        await scene.look(watch)
        await scene.pool.execute("delete from inbox; delete from finding")
        await scene.look(watch, MINUTE)
    assert scene.told.events == [("opened", "held")]
    await scene.look(watch, 3 * MINUTE)
    assert scene.told.events == [("opened", "held"), ("closed", "held")]
    assert "已恢复" in scene.told.notices[-1].events[0]["text_zh"]
    assert scene.told.notices[-1].events[0]["most"] == 2
    await scene.held(1)
    await scene.look(watch, 5 * MINUTE)
    assert await scene.incidents() == [("held/qingxi-his/no-mapping", False), ("held/qingxi-his/no-mapping", True)]
    assert scene.told.events[-1] == ("opened", "held")


async def test_who_acknowledges_is_reminded_no_more_but_told_of_the_end(scene: Scene) -> None:
    watch = scene.watch()
    await scene.held(1)
    await scene.look(watch)
    async with scene.pool.acquire() as connection:
        incident = (await incidents.listed(connection, open_ones=True, before=None, limit=9))[0]
        await incidents.acknowledge(connection, incident.id, "wang", "厂家已通知", scene.now)
    for _ in range(30):
        await scene.look(watch, HOUR)
    assert [event for event, _ in scene.told.events] == ["opened"]
    async with scene.pool.acquire() as connection:
        kept = (await incidents.listed(connection, open_ones=True, before=None, limit=9))[0]
    assert (kept.acknowledged_by, kept.acknowledgment) == ("wang", "厂家已通知")
    await scene.pool.execute("delete from inbox; delete from finding")
    await scene.look(watch, HOUR)
    assert [event for event, _ in scene.told.events] == ["opened", "closed"]
    async with scene.pool.acquire() as connection:
        with pytest.raises(RequestStateError):
            await incidents.acknowledge(connection, incident.id, "wang", "x", scene.now)
        with pytest.raises(NotFoundError):
            await incidents.acknowledge(connection, scene.ids.next(scene.now), "wang", "x", scene.now)


async def test_a_receiver_that_is_away_gets_everything_once_it_is_back(scene: Scene) -> None:
    watch = scene.watch()
    scene.told.away = True
    await scene.held(1)
    await scene.look(watch)
    await scene.held(1, code="other")
    for _ in range(5):
        await scene.look(watch, MINUTE)
    assert scene.told.notices == []
    scene.told.away = False
    await scene.look(watch, HOUR)
    assert len(scene.told.notices) == 1
    assert scene.told.events[:2] == [("opened", "held"), ("opened", "held")]


async def test_a_notice_nobody_takes_is_given_up_and_the_next_reminder_tries_anew(
    scene: Scene, pool: asyncpg.Pool
) -> None:
    watch = scene.watch()
    scene.told.away = True
    scene.set(remind_after_secs=(14 * 86_400.0,))
    await scene.held(1)
    for _ in range(20):
        await scene.look(watch, HOUR)
    row = await pool.fetchrow("select state, attempts, last_error from alert_notice")
    assert tuple(row) == ("given-up", 8, "away")
    scene.told.away = False
    await scene.look(watch, timedelta(days=14))
    assert scene.told.events == [("reminder", "held")]


async def test_an_event_that_is_added_while_its_notice_is_on_its_way_is_sent_later(scene: Scene) -> None:
    watch = scene.watch()
    await scene.held(1)
    async with scene.pool.acquire() as connection:
        await watch.look(connection)
        notice = await incidents.due(connection, "told", scene.now)
        assert notice is not None
        await incidents.tell(connection, "told", scene.ids.next(scene.now), [{"event": "late"}], 0, scene.now)
        await incidents.sent(connection, notice, scene.now, scene.now)
        left = await incidents.due(connection, "told", scene.now)
        assert left is not None
        assert left.events == [{"event": "late"}]
        await incidents.sent(connection, left, scene.now, scene.now)
        assert await incidents.due(connection, "told", scene.now) is None


async def test_an_endpoint_that_is_away_comes_back(scene: Scene) -> None:
    watch = scene.watch()
    first = await scene.owed("qingxi-his", failed_at=[scene.now])
    await scene.owed("qingxi-his")
    await scene.look(watch)
    assert await scene.incidents() == []
    await scene.look(watch, 2 * MINUTE)
    assert await scene.incidents() == [("endpoint-away/qingxi-his", True)]
    assert scene.told.notices[0].events[0]["amount"] == 2
    await scene.pool.execute("update delivery set state = 'delivered'")
    await scene.look(watch, 3 * MINUTE)
    assert await scene.incidents() == [("endpoint-away/qingxi-his", False)]
    assert first is not None


async def test_dead_letters_are_one_incident_for_each_endpoint(scene: Scene) -> None:
    watch = scene.watch()
    for _ in range(40):
        await scene.owed("qingxi-his", state="refused")
    await scene.pool.execute(
        "insert into finding (id, code, severity, text, about, found_at) "
        "select gen_random_uuid(), 'delivery-refused', 'error', 'x', 'Delivery/' || id, $1 from delivery",
        scene.now,
    )
    await scene.look(watch)
    assert await scene.incidents() == [("dead-letters/qingxi-his", True)]


async def test_errors_that_hold_nothing_are_incidents_of_their_own(scene: Scene) -> None:
    watch = scene.watch()
    await scene.pool.execute(
        "insert into finding (id, code, severity, text, about, found_at) "
        "values (gen_random_uuid(), 'request-not-closed', 'error', 'x', 'Task/1', $1), "
        "(gen_random_uuid(), 'charset-doubtful', 'warning', 'x', 'Task/1', $1)",
        scene.now,
    )
    await scene.look(watch)
    assert await scene.incidents() == [("error//request-not-closed", True)]
    await scene.pool.execute("update finding set settled_at = now()")
    await scene.look(watch, HOUR)
    assert await scene.incidents() == [("error//request-not-closed", False)]


async def test_a_channel_that_goes_quiet_and_speaks_again(scene: Scene) -> None:
    scene.set(channels={"qingxi-his": Quiet(name="qingxi-his", quiet_after_secs=1800)})
    await scene.received("qingxi-his", START)
    watch = scene.watch()
    await count_up(scene, watch)
    assert await scene.incidents() == []
    await scene.look(watch, timedelta(minutes=29))
    assert await scene.incidents() == []
    await scene.look(watch, 3 * MINUTE)
    assert await scene.incidents() == [("channel-quiet/qingxi-his", True)]
    await scene.received("qingxi-his", scene.now)
    await scene.look(watch, 3 * MINUTE)
    await scene.look(watch, 3 * MINUTE)
    assert await scene.incidents() == [("channel-quiet/qingxi-his", False)]
    assert scene.told.events == [("opened", "channel-quiet"), ("closed", "channel-quiet")]


async def test_what_a_channel_usually_does_is_learned(scene: Scene) -> None:
    """A week of a message every two hours; then three hours of nothing are enough."""
    watch = scene.watch()
    await count_up(scene, watch)
    for _ in range(7 * 12):
        await scene.received("qingxi-his", scene.now)
        for _ in range(2):
            await scene.look(watch, HOUR)
    assert await scene.incidents() == []
    for _ in range(2):
        await scene.look(watch, HOUR)
    assert await scene.incidents() == [("channel-quiet/qingxi-his", True)]
    counted = await scene.pool.fetchval("select sum(messages) from channel_day where channel = 'qingxi-his'")
    assert counted == 7 * 12


async def test_no_channel_is_quiet_before_the_watch_has_caught_up(scene: Scene) -> None:
    scene.set(channels={"qingxi-his": Quiet(name="qingxi-his", quiet_after_secs=60)})
    watch = scene.watch()
    await scene.look(watch)
    assert await scene.incidents() == []


async def test_notices_hold_no_word_of_a_message(scene: Scene) -> None:
    watch = scene.watch()
    ids = await scene.held(1)
    await scene.pool.execute("update finding set text = 'PID-5 张三', location = 'PID-5'")
    await scene.look(watch)
    told = json.dumps(scene.told.notices[0].events, ensure_ascii=False)
    assert "张三" not in told
    assert str(ids[0]) not in told


async def test_the_disk_of_the_data_folder(scene: Scene) -> None:
    scene.set(disk_free_min_percent=100.0)
    await scene.look(scene.watch())
    assert await scene.incidents() == [("disk/data", True)]


async def count_up(scene: Scene, watch: Watch) -> None:
    """Lets the watch count the day before it began."""
    while not await scene.pool.fetchval(
        "select counted_to > $1 from watch_progress", scene.now - timedelta(seconds=30)
    ):
        await scene.look(watch, timedelta(seconds=1))
    await scene.look(watch, timedelta(seconds=1))


async def test_a_study_that_stays_short_is_told_with_what_is_missing_and_closed_when_it_has_come(scene: Scene) -> None:
    scene.set(settle_secs=0.0, gather_secs=0.0)
    watch = scene.watch()
    await scene.pool.execute(
        """
        insert into study_state (uid, facility, channel, state, since, missing, missing_uids)
        values ('1.2.3', 'baishi', 'imaging', 'short', $1, 1, '{1.2.3.4}')
        """,
        scene.now,
    )
    await scene.look(watch)
    assert scene.told.events == []
    await scene.look(watch, timedelta(minutes=5))
    assert await scene.incidents() == [("study-short/baishi/1.2.3", True)]
    (event,) = (event for notice in scene.told.notices for event in notice.events)
    assert event["details"] == "1.2.3.4"
    assert event["text_zh"].endswith("：1.2.3.4")
    await scene.pool.execute("update study_state set state = 'whole'")
    await scene.look(watch)
    assert scene.told.events == [("opened", "study-short"), ("closed", "study-short")]
