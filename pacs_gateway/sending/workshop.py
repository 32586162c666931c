"""Where are objects encoded anew? In processes of their own: it takes long, and a library may die of a picture."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process

from pacs_gateway.discretion import keep_libraries_discreet
from pacs_gateway.sending.transcoding import CannotEncode, transcoded

PROCESSES = 2


class Workshop:
    """Its processes begin with the first object, and end with `close`, or with this process however that ends."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def made(self, data: bytes, stored: str, target: str) -> bytes:
        """A data set in another transfer syntax. Raises CannotEncode."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn"), initializer=_begin)
        pool = self._pool
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, transcoded, data, stored, target)
        except BrokenProcessPool:
            if self._pool is pool:  # whoever meets it first begins anew
                self._pool = None
                pool.shutdown(wait=False)
            raise CannotEncode("a library that encodes died of it") from None

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)


def _begin() -> None:
    """A process whose parent was killed would wait for work for ever: it ends too."""
    keep_libraries_discreet()
    parent = parent_process()
    assert parent is not None, "a process of the pool has a parent"

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
