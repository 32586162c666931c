"""How does an object that comes in pieces reach a store that wants it whole? Gathered in memory, kept by a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from pacs_gateway.scp.reception import Announced
from pacs_gateway.store import Sent, Store


class Gathering:
    """Implements `Reception` over a `Store`, which works in threads of its own."""

    def __init__(self, store: Store, threads: Executor) -> None:
        self._store = store
        self._threads = threads

    def begin(self, announced: Announced) -> Gathered:
        return Gathered(self._store, self._threads, announced)


class Gathered:
    """Implements `Arriving`."""

    def __init__(self, store: Store, threads: Executor, announced: Announced) -> None:
        self._store = store
        self._threads = threads
        self._announced = announced
        self._data = bytearray()

    def write(self, pieces: Sequence[memoryview]) -> None:
        for piece in pieces:
            self._data += piece

    async def finish(self) -> None:
        announced = self._announced
        sent = Sent(
            sop_class=announced.sop_class_uid,
            sop_uid=announced.sop_instance_uid,
            transfer_syntax=announced.transfer_syntax_uid,
            data=bytes(self._data),
            facility=announced.facility,
            peer=announced.peer,
        )
        await asyncio.get_running_loop().run_in_executor(self._threads, self._store.keep, sent)

    def abandon(self) -> None:
        self._data.clear()
