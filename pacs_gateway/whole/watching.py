"""When is a study judged, and its sender asked? Once it has fallen quiet, once something is announced, and in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import asyncpg

from engine.clock import Clock
from engine.config import DicomChannel
from engine.errors import HutongError
from engine.store import announcements, senders_asked, wholeness
from engine.store.announcements import Announced, Source
from engine.store.database import FAILED, end_if_cancelled
from engine.store.senders_asked import Turn
from engine.store.wholeness import Facts
from pacs_gateway.background import Background, places_of
from pacs_gateway.claiming import claim_end, claimed
from pacs_gateway.manifest import ae_title
from pacs_gateway.whole.judging import Patience, asks, is_to_be_asked, judge

BATCH = 100
LOOK_SECS = 1.0
"""Between two looks for studies that are to be judged: by index, and mostly there are none."""
RETRY_SECS = 2.0
ASKED_AT_ONCE = 4
"""Senders of a channel that are asked at the same time, by all processes together; most modalities take one or two
associations."""

_log = logging.getLogger(__name__)

_Study = tuple[str, str]
"""UID and facility."""


class Sender(Protocol):
    """An application entity that sent studies and answers what it has of them."""

    async def holds(self, study_uid: str) -> list[Announced]:
        """What it has of a study. Raises DeliveryError when it does not answer."""
        ...


class Watcher:
    """Judges the studies of one channel.

    senders  those that are asked, by AE title and facility
    """

    def __init__(
        self, pool: asyncpg.Pool, channel: DicomChannel, senders: Mapping[tuple[str, str], Sender], clock: Clock
    ) -> None:
        self._pool = pool
        self._channel = channel.name
        self._patience = Patience(
            timedelta(seconds=channel.whole_after_secs), timedelta(seconds=channel.short_after_secs)
        )
        self._senders = senders
        self._clock = clock
        self._asking: dict[_Study, asyncio.Task[None]] = {}
        self._lines = asyncio.Semaphore(ASKED_AT_ONCE)
        self._background = Background(f"dicom whole studies {channel.name}")

    def start(self) -> None:
        self._background.start(self._run)

    async def close(self) -> None:
        await self._background.close()
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settled(self) -> None:
        """Returns when every sender that is being asked has answered, or does not."""
        await asyncio.gather(*self._asking.values())

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
                pause = LOOK_SECS
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                _log.warning("channel %s: studies wait to be judged: %s", self._channel, type(error).__name__)
                pause = RETRY_SECS
            await asyncio.sleep(pause)

    async def look(self) -> None:
        """Judges every study that is due, and begins to ask senders of those that are to be asked first."""
        while True:
            async with self._pool.acquire() as connection:
                found = await wholeness.due(connection, self._channel, self._clock(), BATCH + len(self._asking))
                ready = [study for study in found if study not in self._asking]
                for study in ready:
                    await self._judge(connection, study)
            if len(ready) < BATCH:
                return

    async def _judge(self, connection: asyncpg.Connection, study: _Study, *, may_ask: bool = True) -> None:
        uid, facility = study
        async with connection.transaction():
            facts = await wholeness.facts(connection, uid, facility)
            if facts is None:
                return
            at = self._clock()
            sender = self._senders.get((ae_title(facts.peer), facility)) if may_ask else None
            if sender is not None and is_to_be_asked(facts, self._patience, at):
                self._ask(study, facts, sender)
                return
            judged = judge(facts, self._patience, sender is not None and asks(facts), at)
            if judged is None:
                await wholeness.forget(connection, uid, facility)
            else:
                await wholeness.keep(connection, uid, facility, judged, at)

    def _ask(self, study: _Study, facts: Facts, sender: Sender) -> None:
        task = asyncio.create_task(self._asked(study, ae_title(facts.peer), sender))
        self._asking[study] = task
        task.add_done_callback(lambda _: self._asking.pop(study, None))

    async def _asked(self, study: _Study, title: str, sender: Sender) -> None:
        """Asks, and judges by what is known then; a sender that does not answer is asked when more of the study comes.

        What it was asked counts from the moment before: what it sends meanwhile makes it be asked again. Where another
        process asks it, or has while this one waited for a line, that one judges the study.
        """
        uid, facility = study
        try:
            async with self._lines:  # until it no longer counts among those that are asked
                at = await self._turn(study)
                if at is None:
                    return
                async with claimed(claim_end(at), self._clock, partial(self._claim_longer, study)) as claim:
                    said = await self._answer(uid, title, sender)
                async with self._pool.acquire() as connection:
                    if said is not None:
                        await self._keep(connection, study, title, said, at)
                    await self._judge(connection, study, may_ask=False)
                    await senders_asked.end(connection, uid, facility, claim.until)
        except (*FAILED, HutongError) as error:  # it is still due, and is asked again
            end_if_cancelled()
            _log.warning("channel %s: a study waits to be judged: %s", self._channel, type(error).__name__)

    async def _keep(
        self, connection: asyncpg.Connection, study: _Study, title: str, said: list[Announced], at: datetime
    ) -> None:
        """What the sender of a study has answered, when it was asked at a moment."""
        uid, facility = study
        async with connection.transaction():
            await announcements.announce(
                connection,
                channel=self._channel,
                facility=facility,
                source=Source.QUERY,
                about=f"{title}/{uid}",
                said_by=title,
                said=said,
                at=at,
            )
            await senders_asked.answered(connection, uid, facility, at)

    async def _turn(self, study: _Study) -> datetime | None:
        """Since when its sender is ours to ask, once fewer are asked than may be; None where another process asks."""
        while True:
            at = self._clock()
            async with self._pool.acquire() as connection:
                turn = await senders_asked.claim(connection, *study, self._channel, at, claim_end(at), ASKED_AT_ONCE)
            if turn is Turn.NOW:
                return at
            if turn is Turn.NEVER:
                return None
            await asyncio.sleep(LOOK_SECS)

    async def _claim_longer(self, study: _Study, old: datetime, until: datetime) -> bool:
        async with self._pool.acquire() as connection:
            return await senders_asked.claim_longer(connection, *study, old, until)

    async def _answer(self, uid: str, title: str, sender: Sender) -> list[Announced] | None:
        """What it says it has; None where it says nothing."""
        try:
            return await sender.holds(uid)
        except HutongError as error:
            _log.warning("channel %s: %s does not say what it has of a study: %s", self._channel, title, error.message)
        except Exception as error:  # noqa: BLE001 - whatever a sender answers, its study is judged
            _log.error("channel %s: asking %s broke: %s", self._channel, title, places_of(error))
        return None
