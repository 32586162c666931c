"""What is announced, what comes and how long it is quiet decide together how a study stands."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from engine.store import announcements, wholeness
from engine.store.announcements import Announced, Source
from engine.store.wholeness import State
from pacs_gateway.whole.watching import Watcher
from tests.integration.whole.conftest import SERIES, STUDY, Scene, named, uid


async def test_a_study_of_which_nothing_is_announced_is_whole_after_a_long_silence(scene: Scene) -> None:
    watcher = scene.watcher()
    await scene.store(1, 2, quiet=False)
    assert await scene.judged(watcher) is State.RECEIVING
    await scene.store(3)
    assert await scene.judged(watcher) is State.RECEIVING
    scene.after(299)
    assert await scene.judged(watcher) is State.RECEIVING
    scene.after(1)
    assert await scene.judged(watcher) is State.WHOLE


async def test_a_study_is_whole_at_once_when_all_of_its_step_is_there(scene: Scene) -> None:
    watcher = scene.watcher()
    await scene.announce(named(1, 2))
    await scene.store(1, 2)
    assert await scene.judged(watcher) is State.WHOLE


async def test_a_step_that_still_runs_does_not_make_its_study_whole(scene: Scene, pool: asyncpg.Pool) -> None:
    watcher = scene.watcher()
    await pool.execute(
        """
        insert into performed_step (uid, facility, channel, peer, state, orders, told, created_at, changed_at)
        values ('1.2.9', 'baishi', 'imaging', 'CT@h:1', 'IN PROGRESS', '{}', '{}', $1, $1)
        """,
        scene.now,
    )
    await scene.announce(named(1))
    await scene.store(1)
    assert await scene.judged(watcher) is State.RECEIVING
    await pool.execute("update performed_step set state = 'COMPLETED'")
    await scene.announce(named(1, 2))
    await scene.store(2)
    assert await scene.judged(watcher) is State.WHOLE


async def test_a_study_that_stays_short_names_what_is_missing_until_it_comes(scene: Scene) -> None:
    watcher = scene.watcher()
    await scene.announce(named(1, 2, 3))
    await scene.store(1)
    scene.after(60)
    assert await scene.judged(watcher) is State.SHORT
    state = await scene.state()
    assert state is not None
    assert (state.missing, state.missing_uids, state.announced) == (2, (uid(2), uid(3)), 3)
    await scene.store(2, 3, quiet=False)
    assert await scene.judged(watcher) is State.RECEIVING
    await scene.store(3)  # a repeat
    assert await scene.judged(watcher) is State.WHOLE


async def test_what_comes_after_a_study_was_whole_is_late(scene: Scene, pool: asyncpg.Pool) -> None:
    watcher = scene.watcher()
    await scene.announce(named(1))
    await scene.store(1)
    assert await scene.judged(watcher) is State.WHOLE
    scene.after(10)
    await scene.store(2)
    assert await scene.judged(watcher) is State.LATE
    async with pool.acquire() as connection:
        assert await wholeness.late_instances(connection, STUDY, "baishi") == [uid(2)]


async def test_a_repeat_and_other_content_of_what_is_there_make_nothing_late(scene: Scene) -> None:
    watcher = scene.watcher()
    await scene.announce(named(1))
    await scene.store(1)
    assert await scene.judged(watcher) is State.WHOLE
    scene.after(10)
    await scene.store(1)
    await scene.store(1, content="other")
    assert await scene.judged(watcher) is State.WHOLE


async def test_a_study_of_which_nothing_ever_comes_is_short(scene: Scene) -> None:
    watcher = scene.watcher()
    await scene.announce(named(1, 2))
    assert await scene.judged(watcher) is State.RECEIVING
    scene.after(60)
    assert await scene.judged(watcher) is State.SHORT
    await scene.announce([])  # the step is taken back
    assert await scene.judged(watcher) is None


async def test_an_announcement_replaces_what_was_said_with_it_before(scene: Scene) -> None:
    watcher = scene.watcher()
    await scene.announce(named(1, 2, 3))
    await scene.store(1)
    scene.after(60)
    assert await scene.judged(watcher) is State.SHORT
    await scene.announce(named(1))
    assert await scene.judged(watcher) is State.WHOLE


async def test_a_commitment_that_tells_no_study_is_placed_by_what_is_there(scene: Scene) -> None:
    watcher = scene.watcher()
    await scene.store(1)
    await scene.announce([Announced(uid(1)), Announced(uid(2))], Source.COMMITMENT)
    scene.after(60)
    assert await scene.judged(watcher) is State.SHORT
    state = await scene.state()
    assert state is not None
    assert state.missing_uids == (uid(2),)


async def test_a_commitment_of_what_nobody_knows_judges_nothing(scene: Scene, pool: asyncpg.Pool) -> None:
    await scene.announce([Announced(uid(1))], Source.COMMITMENT)
    assert await pool.fetchval("select count(*) from study_state") == 0
    assert await pool.fetchval("select study_uid from announced_instance") == ""


async def test_what_a_person_waives_is_not_missing_any_more_even_when_it_is_said_again(
    scene: Scene, pool: asyncpg.Pool
) -> None:
    watcher = scene.watcher()
    await scene.announce(named(1, 2))
    await scene.store(1)
    scene.after(60)
    assert await scene.judged(watcher) is State.SHORT
    async with pool.acquire() as connection:
        assert await announcements.waive(connection, STUDY, "baishi", "wang", "deleted at the CT", scene.now) == 1
    assert await scene.judged(watcher) is State.WHOLE
    await scene.announce(named(1, 2))
    assert await scene.judged(watcher) is State.WHOLE
    await scene.announce(named(1, 2, 3))
    scene.after(60)
    assert await scene.judged(watcher) is State.SHORT


async def test_hostile_announcements_are_left_out(scene: Scene, pool: asyncpg.Pool) -> None:
    await scene.announce(
        [
            Announced("../../etc/passwd", SERIES, STUDY),
            Announced("1." * 40, SERIES, STUDY),
            Announced(uid(1), SERIES, "a'; drop table study; --"),
            Announced(study_uid=STUDY, count=-1),
            Announced(study_uid=STUDY, count=2**40),
            Announced(study_uid=STUDY),
            *named(1, 1, 1),
        ]
    )
    assert await pool.fetchval("select array_agg(sop_uid) from announced_instance") == [uid(1)]


async def asked(scene: Scene, watcher: Watcher) -> None:
    """The watcher looks, and what it asks is answered."""
    await watcher.look()
    await watcher.settled()


async def test_a_sender_that_has_more_makes_its_study_short(scene: Scene) -> None:
    watcher = scene.watcher(asks=True)
    scene.sender.answer = named(1, 2)
    await scene.store(1)
    assert await scene.judged(watcher) is State.RECEIVING
    assert scene.sender.times == 0
    scene.after(60)
    await asked(scene, watcher)
    state = await scene.state()
    assert state is not None
    assert (state.state, state.missing_uids, state.sources) == (State.SHORT, (uid(2),), ("query",))


async def test_a_sender_is_asked_once_and_again_when_it_sent_more(scene: Scene) -> None:
    watcher = scene.watcher(asks=True)
    scene.sender.answer = named(1)
    await scene.store(1)
    scene.after(60)
    await asked(scene, watcher)
    scene.after(240)
    assert await scene.judged(watcher) is State.WHOLE
    assert scene.sender.times == 1
    await scene.store(2)
    scene.after(60)
    await asked(scene, watcher)
    assert scene.sender.times == 2


async def test_a_sender_that_does_not_answer_holds_nothing_up(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    watcher = scene.watcher(asks=True)
    scene.sender.answer = None
    await scene.announce(named(1))
    await scene.store(1)
    scene.after(60)
    await asked(scene, watcher)
    state = await scene.state()
    assert state is not None
    assert state.state is State.WHOLE
    assert "CT does not say what it has" in caplog.text


async def test_a_watcher_judges_by_itself(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pacs_gateway.whole.watching.LOOK_SECS", 0.01)
    watcher = scene.watcher()
    watcher.start()
    try:
        await scene.announce(named(1))
        await scene.store(1)
        async with asyncio.timeout(60):
            while await scene.judged_last() is not State.WHOLE:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
    finally:
        await watcher.close()
