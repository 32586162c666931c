"""What was announced without its study was placed by what is there; it comes in another study: nothing is missing."""

from __future__ import annotations

import asyncpg

from engine.store.announcements import Announced, Source
from engine.store.wholeness import State
from tests.integration.whole.conftest import STUDY, Scene, uid

OTHER = "1.2.4"


async def _placed_here_and_short(scene: Scene) -> None:
    await scene.store(1)
    await scene.announce([Announced(uid(number)) for number in (1, 2, 3)], Source.COMMITMENT)
    scene.after(60)
    assert await scene.judged(scene.watcher()) is State.SHORT


async def test_a_study_is_short_no_longer_when_what_it_misses_has_come_in_another(scene: Scene) -> None:
    await _placed_here_and_short(scene)
    scene.after(600)
    await scene.store(2, study=OTHER)
    assert await scene.judged(scene.watcher()) is State.SHORT
    state = await scene.state()
    assert state is not None
    assert state.missing_uids == (uid(3),)
    scene.after(60)
    await scene.store(3, study=OTHER)
    assert await scene.judged(scene.watcher()) is State.WHOLE


async def test_what_it_does_not_miss_has_no_study_judged_again(scene: Scene, pool: asyncpg.Pool) -> None:
    await _placed_here_and_short(scene)
    await scene.store(9, study=OTHER)
    assert await pool.fetchval("select look_at from study_state where uid = $1", STUDY) is None
