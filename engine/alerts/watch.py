"""Who watches over the hub? One elected process looks again and again, keeps incidents, and has notices sent.

It stands beside the walk and never in it: it reads what is committed, each look is bounded, and a receiver that is
away delays nobody.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from engine.alerts import wording
from engine.alerts.causes import LEARNED_FROM_DAYS, SHORT_SEEN, Disk, Look, causes
from engine.alerts.counting import count_arrivals
from engine.alerts.incidents import judge
from engine.clock import CHINA, Clock
from engine.config import Community
from engine.envelope import EnvelopeIds
from engine.errors import HutongError, StorageError
from engine.store import incidents, study_states, watching
from engine.store.database import Connection, connect, end_if_cancelled

if TYPE_CHECKING:
    from engine.alerts.receivers import Receiver

logger = logging.getLogger(__name__)

_RECONNECT_SECS = 5.0
_LEAD_SECS = 5.0
_IDLE_SECS = 5.0
_STATEMENT_TIMEOUT = "20s"
TRIES = 8
"""Of one notice. The next event, a reminder for one, tries anew."""
FIRST_PAUSE_SECS = 10.0
LONGEST_PAUSE_SECS = 900.0
NOTICES_KEPT = timedelta(days=30)
TOLD_AS_DEAD_LETTERS = ("delivery-refused",)


class Watch:
    """One in every hub: of several processes one leads, the others wait for its end."""

    def __init__(
        self,
        database_url: str,
        community: Community,
        receivers: Mapping[str, Receiver],
        data: Path,
        clock: Clock,
        ids: EnvelopeIds,
    ) -> None:
        self._database_url = database_url
        self._community = community
        self._alerts = community.alerts
        self._receivers = receivers
        self._data = data
        self._clock = clock
        self._ids = ids
        self._growth: deque[tuple[datetime, int]] = deque()
        self._caught_up = False
        self._lost = False

    async def run(self) -> None:
        """Watches until it is cancelled. Whatever goes wrong with watching is told of once and tried again."""
        while True:
            try:
                # In a task of its own: a TaskGroup of Python 3.11 may leave its task marked as cancelled.
                await asyncio.create_task(self._lead())
            except* Exception as failed:  # noqa: BLE001 - nothing here may end the process that takes messages in
                if not self._lost:
                    logger.error("nobody watches for a while: %s", type(failed.exceptions[0]).__name__)
                self._lost = True
            end_if_cancelled()
            await asyncio.sleep(_RECONNECT_SECS)

    async def _lead(self) -> None:
        connection = await connect(self._database_url)
        try:
            await connection.execute("select set_config('statement_timeout', $1, false)", _STATEMENT_TIMEOUT)
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            while not await watching.lead(connection):  # noqa: ASYNC110 - a statement that waits holds vacuum back
                await asyncio.sleep(_LEAD_SECS)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_end_with(gone))
                tasks.create_task(self._look_again_and_again(connection))
                for name, receiver in self._receivers.items():
                    tasks.create_task(self._tell_again_and_again(name, receiver))
        finally:
            connection.terminate()

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _look_again_and_again(self, connection: Connection) -> None:
        while True:
            await self.look(connection)
            self._lost = False
            await asyncio.sleep(self._alerts.look_every_secs)

    async def look(self, connection: Connection) -> None:
        """Looks once: brings incidents up to date and owes notices of what changed, in one transaction."""
        at = self._clock()
        self._caught_up = await count_arrivals(connection, self._alerts.channels, at)
        if self._caught_up:
            await watching.begin(connection, list(self._community.channels), at)
        seen = await self._see(connection, at)
        found = causes(seen, self._alerts, list(self._community.channels), at)
        async with connection.transaction():
            known = await incidents.still_open(connection)
            judged = judge(known, found, self._alerts, at, self._ids.next)
            await incidents.keep(connection, [incident for incident, _ in judged])
            events = [wording.event(incident, happened, at) for incident, happened in judged if happened is not None]
            for receiver in self._receivers if events else ():
                await incidents.tell(connection, receiver, self._ids.next(at), events, self._alerts.gather_secs, at)
            await incidents.forget_notices(connection, at - NOTICES_KEPT)

    async def _see(self, connection: Connection, at: datetime) -> Look:
        today = at.astimezone(CHINA).date()
        backlog = await watching.backlog_seen(connection, at)
        # Until what came in the meantime is counted, a channel only looks quiet.
        channels = (
            await watching.channels_seen(connection, today - timedelta(days=LEARNED_FROM_DAYS), today)
            if self._caught_up
            else []
        )
        look = Look(
            channels=channels,
            backlog=backlog,
            growth=tuple(self._growth),
            endpoints=await watching.endpoints_seen(connection, self._community.destinations),
            refused=await watching.refused_seen(connection),
            held=await watching.held_seen(connection),
            errors=await watching.errors_seen(connection, TOLD_AS_DEAD_LETTERS),
            disk=await asyncio.to_thread(_disk, self._data),
            short=await study_states.short_since(
                connection, at - timedelta(seconds=self._alerts.study_short_secs), SHORT_SEEN
            ),
        )
        self._growth.append((at, backlog.waiting))
        while at - self._growth[0][0] > timedelta(seconds=2 * self._alerts.backlog.growing_for_secs):
            self._growth.popleft()
        return look

    # ── telling ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _tell_again_and_again(self, name: str, receiver: Receiver) -> None:
        """Over a connection of its own: a receiver that is slow must not keep the next look waiting."""
        connection = await connect(self._database_url)
        try:
            owed = asyncio.Event()
            await connection.add_listener(incidents.CHANNEL, lambda *_: owed.set())
            while True:
                owed.clear()
                while await self.tell(connection, name, receiver):
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(_IDLE_SECS):
                        await owed.wait()
        finally:
            connection.terminate()

    async def tell(self, connection: Connection, name: str, receiver: Receiver) -> bool:
        """Sends the oldest notice that is due; False when there is none."""
        notice = await incidents.due(connection, name, self._clock())
        if notice is None:
            return False
        try:
            await receiver.send(notice, self._clock())
        except HutongError as error:
            logger.warning("a notice did not reach %s: %s", name, error.code)
            pause = min(LONGEST_PAUSE_SECS, FIRST_PAUSE_SECS * 2**notice.attempts)
            again = self._clock() + timedelta(seconds=pause) if notice.attempts + 1 < TRIES else None
            await incidents.not_sent(connection, notice, error.code, again)
        else:
            at = self._clock()
            await incidents.sent(connection, notice, at, at + timedelta(seconds=self._alerts.gather_secs))
        return True


async def _end_with(gone: asyncio.Event) -> None:
    """Without the lock somebody else may watch by now, and would tell everything a second time."""
    await gone.wait()
    raise StorageError("the connection that held the lead is lost")


def _disk(folder: Path) -> Disk | None:
    """None where there is no such folder on this machine."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return Disk(usage.total, usage.free)
