"""Several processes watch one channel: one of them asks the sender of a study, and another when that one is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from engine.errors import DeliveryError
from engine.store import senders_asked
from engine.store.announcements import Announced
from engine.store.senders_asked import Turn
from engine.store.wholeness import State
from pacs_gateway import claiming
from pacs_gateway.claiming import CLAIM_SECS
from pacs_gateway.whole import watching
from pacs_gateway.whole.watching import Watcher
from tests.integration.gateway.sending import PATIENCE_SECS, until
from tests.integration.whole.conftest import CHANNEL, STUDY, Scene, named

OTHER = "1.2.4"


class OneLine:
    """A modality that takes one association; it has two instances, and answers once it may."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.turned_away: list[str] = []
        self.may_answer = asyncio.Event()
        self._calling = asyncio.Event()

    async def holds(self, study_uid: str) -> list[Announced]:
        self.asked.append(study_uid)
        if self._calling.is_set() and not self.may_answer.is_set():
            self.turned_away.append(study_uid)
            raise DeliveryError("busy", code="rejected")
        self._calling.set()
        await self.may_answer.wait()
        return named(1, 2, study=study_uid)

    async def is_called(self) -> None:
        async with asyncio.timeout(PATIENCE_SECS):
            await self._calling.wait()


class Several:
    """The watcher of each process, all of which may ask one modality."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.modality = OneLine()
        self._watchers: list[Watcher] = []

    def watcher(self) -> Watcher:
        senders = {("CT", "baishi"): self.modality}
        watcher = Watcher(self._scene.pool, CHANNEL, senders, lambda: self._scene.now)
        self._watchers.append(watcher)
        return watcher

    async def close(self) -> None:
        for watcher in self._watchers:
            await watcher.close()


@pytest.fixture
async def several(scene: Scene) -> AsyncIterator[Several]:
    several = Several(scene)
    yield several
    await several.close()


async def test_a_study_is_not_judged_by_one_process_while_another_asks_its_sender(
    scene: Scene, several: Several
) -> None:
    """What came after it had counted as whole would be late for ever."""
    await scene.store(1)
    scene.after(300)
    first, second = several.watcher(), several.watcher()
    await first.look()
    await several.modality.is_called()
    await second.look()
    await second.settled()
    assert await scene.judged_last() is State.RECEIVING
    several.modality.may_answer.set()
    await first.settled()
    assert several.modality.asked == [STUDY]
    assert await scene.judged_last() is State.SHORT
    await scene.store(2)
    await first.look()
    await first.settled()
    scene.after(300)
    await first.look()
    await first.settled()
    assert await scene.judged(second) is State.WHOLE


async def test_all_processes_together_ask_no_more_at_once_than_one_may_and_each_study_once(
    scene: Scene, several: Several, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "ASKED_AT_ONCE", 1)
    monkeypatch.setattr(watching, "LOOK_SECS", 0.02)
    turns: list[Turn] = []
    claim = senders_asked.claim

    async def claim_seen(*asked: Any) -> Turn:
        turns.append(await claim(*asked))
        return turns[-1]

    async def one_waits() -> bool:
        return Turn.LATER in turns or len(several.modality.asked) > 1

    monkeypatch.setattr(senders_asked, "claim", claim_seen)
    modality = several.modality
    await scene.store(1)
    scene.after(1)
    await scene.store(11, study=OTHER)
    scene.after(300)
    first, second = several.watcher(), several.watcher()
    await first.look()  # the other study waits for the line
    await modality.is_called()
    await second.look()
    await until(one_waits)
    assert modality.asked == [STUDY]
    modality.may_answer.set()
    await first.settled()
    await second.settled()
    assert modality.asked == [STUDY, OTHER]
    assert modality.turned_away == []
    assert await scene.judged_last(OTHER) is State.SHORT


async def test_another_process_asks_when_the_one_that_did_is_gone(scene: Scene, several: Several) -> None:
    await scene.store(1)
    scene.after(300)
    first, second = several.watcher(), several.watcher()
    await first.look()
    await several.modality.is_called()
    await first.close()
    several.modality.may_answer.set()
    await second.look()
    await second.settled()
    assert several.modality.asked == [STUDY]
    scene.after(CLAIM_SECS)
    await second.look()
    await second.settled()
    assert several.modality.asked == [STUDY, STUDY]
    assert await scene.judged_last() is State.SHORT


async def test_a_sender_that_answers_slowly_is_asked_by_nobody_else_meanwhile(
    scene: Scene, several: Several, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "AGAIN_SECS", 0.02)
    await scene.store(1)
    scene.after(300)
    first, second = several.watcher(), several.watcher()
    await first.look()
    await several.modality.is_called()
    scene.after(2 * CLAIM_SECS)

    async def is_claimed_anew() -> bool:
        claimed: bool = await scene.pool.fetchval("select asking_until > $1 from study_state", scene.now)
        return claimed

    await until(is_claimed_anew)
    await second.look()
    await second.settled()
    several.modality.may_answer.set()
    await first.settled()
    assert several.modality.asked == [STUDY]


async def test_a_process_that_stood_still_leaves_a_study_to_the_one_that_asks_now(
    scene: Scene, several: Several
) -> None:
    await scene.store(1)
    scene.after(300)
    stood_still = several.watcher()
    await stood_still.look()
    await several.modality.is_called()
    scene.after(CLAIM_SECS)
    theirs = scene.now + timedelta(seconds=CLAIM_SECS)
    async with scene.pool.acquire() as connection:
        turn = await senders_asked.claim(connection, STUDY, "baishi", CHANNEL.name, scene.now, theirs, 1)
        assert turn is Turn.NOW
        assert not await senders_asked.claim_longer(connection, STUDY, "baishi", scene.now, theirs)
    several.modality.may_answer.set()
    await stood_still.settled()
    assert await scene.pool.fetchval("select asking_until from study_state") == theirs
