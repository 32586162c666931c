"""How fast does the journal become records? `python -m bench.recording`: pipeline workers beside bare inserts by COPY.

The floor copies the same resources, made beforehand, into a table of the same columns: no parsing, no merging, no
identity, no history, no lanes.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import uvloop
from rich.console import Console

from bench import community as bench_community
from bench.message import oru
from bench.understanding import envelope_of
from engine.cli.assembly import mappings_of, new_ids, prepare
from engine.clock import now
from engine.codecs import fhir_json
from engine.intake import JournalIntake
from engine.store.database import connect
from engine.store.embedded import EmbeddedPostgres
from engine.store.tokens import tokens_of
from engine.understanding import understand

MESSAGES = 3000
PATIENTS = 400
BATCH = 8
PROCESSES = 2
POLL_SECS = 0.05


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as name, EmbeddedPostgres(Path(name) / "pg") as url:
        folder = Path(name)
        folder.chmod(0o755)
        bench_community.write(folder)
        uvloop.run(prepare(url, folder))
        floor, resources = uvloop.run(_floor(url))
        uvloop.run(_fill(url))
        hub = _drain(url, folder)
        Console().print(
            f"Journal → recorded and routed, {resources} resources a message, {PROCESSES} processes\n"
            f"  floor (COPY of ready rows in batches of {BATCH})  {floor:8,.0f} messages/s\n"
            f"  hutong                                       {hub:8,.0f} messages/s   hutong : floor {hub / floor:.2f}"
        )


async def _floor(url: str) -> tuple[float, int]:
    """Bare inserts, as many messages as the hub gets, from as many connections as it has processes."""
    hub = bench_community.community()
    resources = understand(envelope_of(oru("f" * 16, "0000001")), hub, mappings_of(hub)).resources
    rows = [(r["resourceType"], fhir_json.dumps(r).decode(), tokens_of(r)) for r in resources]
    connection = await connect(url)
    await connection.execute("create table floor_resource (type text, id text, body jsonb, tokens text[])")
    await connection.execute("alter table floor_resource add primary key (type, id)")
    await connection.execute("create index on floor_resource using gin (tokens)")

    async def copy(worker: int) -> None:
        own = await asyncpg.connect(url)
        for batch in range(MESSAGES // BATCH // PROCESSES):
            await own.copy_records_to_table(
                "floor_resource",
                records=[
                    (kind, f"{worker}-{batch}-{message}-{number}", body, tokens)
                    for message in range(BATCH)
                    for number, (kind, body, tokens) in enumerate(rows)
                ],
            )
        await own.close()

    begun = time.perf_counter()
    await asyncio.gather(*(copy(worker) for worker in range(PROCESSES)))
    elapsed = time.perf_counter() - begun
    await connection.close()
    return MESSAGES / elapsed, len(rows)


async def _fill(url: str) -> None:
    """Puts the messages into the journal, as a receiver would."""
    hub = bench_community.community()
    intake = JournalIntake(url, {c.name: c for c in hub.mllp_channels}, now, new_ids())
    await intake.start()
    done = asyncio.get_running_loop().create_future()
    left = MESSAGES

    def durable(answer: bytes | None) -> None:
        nonlocal left
        left -= 1
        if answer is None or not left:
            done.set_result(answer)

    for number in range(MESSAGES):
        intake.submit(bench_community.CHANNEL, "bench", oru(f"{number:016d}", f"{number % PATIENTS:07d}"), durable)
    assert await done, "a message was not persisted"
    await intake.close()


def _drain(url: str, folder: Path) -> float:
    """Starts the workers of a hub and waits until the inbox is empty."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "engine.cli.process", "pipeline", str(folder), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HUTONG_DATABASE_URL": url},
        )
        for _ in range(PROCESSES)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            json.loads(worker.stdout.readline())
        begun = time.perf_counter()
        uvloop.run(_emptied(url))
        return MESSAGES / (time.perf_counter() - begun)
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()


async def _emptied(url: str) -> None:
    """Returns when every message is processed; other processes do the work, so the database is asked."""
    connection = await connect(url)
    unfinished = "select exists (select from inbox where state = 'accepted')"
    while await connection.fetchval(unfinished):  # noqa: ASYNC110 - no event crosses the processes
        await asyncio.sleep(POLL_SECS)
    assert await connection.fetchval("select count(*) from outcome where state = 'processed'") == MESSAGES
    await connection.close()


if __name__ == "__main__":
    main()
