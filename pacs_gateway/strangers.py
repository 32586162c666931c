"""Who hears of a caller that was refused because nobody knows it? A person: it becomes a finding, once."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import asyncpg

from engine.clock import Clock
from engine.finding import Finding
from engine.store import unknown_callers
from engine.store.database import FAILED, end_if_cancelled
from engine.store.findings import Raised
from pacs_gateway.background import Background
from pacs_gateway.scp.callers import Unknown

LOOK_SECS = 5.0
"""Between two looks at who has called: nothing of this is done while an association is negotiated."""
MOST_OPEN = 30
"""Findings of a channel: whoever scans the port with titles of its own fills no list."""
_MOST_HEARD = 1000
"""Between two looks. Who is let in and finds no room among them settles what was told of it when it calls again."""
_TITLE_CHARACTERS = 16

_TOLD = {
    Unknown.TITLE: Finding("caller-title-unknown", "an entry with this title to its ae_entries"),
    Unknown.ADDRESS: Finding("caller-address-unknown", "its address to the entry, or an entry of this title for it"),
    Unknown.CERTIFICATE: Finding("caller-certificate-unknown", "the name that its certificate bears to client_names"),
}
"""Each with what to add where the caller is one of ours."""

_log = logging.getLogger(__name__)

_Caller = tuple[str, str]
"""AE title and address."""


class Strangers:
    """Tells of the callers of one channel. Implements `Hears`."""

    def __init__(self, channel: str, pool: asyncpg.Pool, clock: Clock) -> None:
        self._channel = channel
        self._pool = pool
        self._clock = clock
        self._heard: dict[_Caller, Unknown | None] = {}
        """How each call ended, the last one of a caller: refused for a reason, or let in."""
        self._background = Background(f"dicom strangers {channel}")

    def start(self) -> None:
        self._background.start(self._run)

    async def close(self) -> None:
        await self._background.close()

    def refused(self, ae_title: str, host: str, why: Unknown) -> None:
        self._note((ae_title, host), why)

    def admitted(self, ae_title: str, host: str) -> None:
        self._note((ae_title, host), None)

    def _note(self, caller: _Caller, ended: Unknown | None) -> None:
        if caller in self._heard or len(self._heard) < _MOST_HEARD:
            self._heard[caller] = ended

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECS)
            if self._heard:
                await self._tell()

    async def _tell(self) -> None:
        heard, self._heard = self._heard, {}
        let_in = [self._about(caller) for caller, why in heard.items() if why is None]
        unknown = [self._raised(caller, why) for caller, why in heard.items() if why is not None]
        at = self._clock()
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                if let_in:
                    await unknown_callers.let_in(connection, let_in, at)
                if unknown:
                    await unknown_callers.tell(connection, unknown, self._others(), MOST_OPEN, at)
        except FAILED as error:
            end_if_cancelled()
            _log.warning("channel %s: callers wait to be told of: %s", self._channel, type(error).__name__)
            meanwhile, self._heard = self._heard, heard
            for caller, ended in meanwhile.items():
                self._note(caller, ended)

    def _raised(self, caller: _Caller, why: Unknown) -> Raised:
        title, host = caller
        told = _TOLD[why]
        text = (
            f"{_shown(title)} calls from {host} and is refused: {why}. If it is one of yours, add {told.text} "
            f"(channels/{self._channel}.yaml) and restart: this is settled once it is let in. If not, find out what "
            "it is."
        )
        return Raised(replace(told, text=text), None, self._about(caller), self._channel)

    def _others(self) -> Raised:
        text = (
            f"{MOST_OPEN} callers are refused already, and others are that are not told of one by one: the log names "
            "them. Settle those that are nobody's, and find out who tries so many titles."
        )
        return Raised(Finding("callers-unknown", text), None, f"Callers of {self._channel}", self._channel)

    def _about(self, caller: _Caller) -> str:
        title, host = caller
        return f"Callers of {self._channel}: {_shown(title)}@{host}"


def _shown(ae_title: str) -> str:
    """As it may be shown: a stranger chose it."""
    title = "".join(one if one.isascii() and one.isprintable() else "?" for one in ae_title[:_TITLE_CHARACTERS])
    return title or "(no title)"
