"""A process is killed with objects that it has answered, and others go on: what then has its row at last is late."""

from __future__ import annotations

from engine.store import wholeness
from engine.store.wholeness import State
from tests.integration.whole.conftest import STUDY, Scene, instance, uid


async def late(scene: Scene) -> list[str]:
    async with scene.pool.acquire() as connection:
        return await wholeness.late_instances(connection, STUDY, "baishi")


async def test_what_came_before_and_has_its_row_after_the_study_was_whole_is_late(scene: Scene) -> None:
    """Whoever has read the study has not seen it."""
    watcher, behind = scene.watcher(), instance(1, scene.now)
    scene.after(1)
    await scene.store(2)
    scene.after(300)
    assert await scene.judged(watcher) is State.WHOLE
    assert await late(scene) == []
    await scene.record([behind, instance(2, scene.now)])
    assert await scene.judged(watcher) is State.LATE
    assert await late(scene) == [uid(1)]
    await scene.store(3)
    assert await scene.judged(watcher) is State.LATE
    assert await late(scene) == [uid(1), uid(3)]


async def test_what_has_its_row_late_in_a_study_that_never_was_whole_is_as_any_other(scene: Scene) -> None:
    watcher, behind = scene.watcher(), instance(1, scene.now)
    scene.after(1)
    await scene.store(2)
    await scene.record([behind])
    scene.after(300)
    assert await scene.judged(watcher) is State.WHOLE
    assert await late(scene) == []


async def test_other_content_of_what_is_there_makes_nothing_late(scene: Scene) -> None:
    watcher, other = scene.watcher(), instance(2, scene.now, "other pixels")
    scene.after(1)
    await scene.store(2)
    scene.after(300)
    assert await scene.judged(watcher) is State.WHOLE
    await scene.record([other])
    assert await scene.judged(watcher) is State.WHOLE
    assert await late(scene) == []
