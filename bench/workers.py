"""How are messages put into a journal and run? A full inbox, and the pipeline processes of a hub over it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import community as bench_community
from engine.cli.assembly import new_ids
from engine.clock import now
from engine.intake import JournalIntake
from engine.store.database import connect

POLL_SECS = 0.05


async def fill(url: str, messages: int, message: Callable[[int], bytes]) -> None:
    """Puts messages into the journal, as a receiver would."""
    hub = bench_community.community()
    intake = JournalIntake(url, {c.name: c for c in hub.mllp_channels}, now, new_ids())
    await intake.start()
    done: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    left = messages

    def durable(answer: bytes | None) -> None:
        nonlocal left
        left -= 1
        if not done.done() and (answer is None or not left):
            done.set_result(answer)

    for number in range(messages):
        intake.submit(bench_community.CHANNEL, "bench", message(number), durable)
    assert await done, "a message was not persisted"
    await intake.close()


@contextmanager
def pipelines(url: str, folder: Path, count: int) -> Iterator[list[int]]:
    """Pipeline processes that are ready and at work; their process ids."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "engine.cli.process", "pipeline", str(folder), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HUTONG_DATABASE_URL": url},
        )
        for _ in range(count)
    ]
    try:
        for each in started:
            assert each.stdout is not None
            ready = json.loads(each.stdout.readline())
            assert "failed" not in ready, ready
        yield [each.pid for each in started]
    finally:
        for each in started:
            each.terminate()
            each.wait()


async def emptied(url: str, messages: int) -> None:
    """Returns when every message is processed; other processes do the work, so the database is asked."""
    connection = await connect(url)
    unfinished = "select exists (select from inbox where state = 'accepted')"
    while await connection.fetchval(unfinished):  # noqa: ASYNC110 - no event crosses the processes
        await asyncio.sleep(POLL_SECS)
    assert await connection.fetchval("select count(*) from outcome where state = 'processed'") == messages
    await connection.close()
