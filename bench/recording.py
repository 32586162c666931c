"""How fast does the journal become records? `python -m bench.recording`: pipeline workers beside bare inserts by COPY.

The floor copies the same resources, made beforehand, into a table of the same columns: no parsing, no merging, no
identity, no history, no lanes. The whole walk is measured with new messages becoming durable while the workers record.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import asyncpg
import uvloop
from rich.console import Console

from bench import community as bench_community
from bench import cpu, workers
from bench.message import oru
from bench.understanding import envelope_of
from engine.cli.assembly import mappings_of, prepare
from engine.codecs import fhir_json
from engine.store.database import connect
from engine.store.embedded import EmbeddedPostgres
from engine.store.tokens import tokens_of
from engine.understanding import understand

MESSAGES = 3000
PATIENTS = 400
BATCH = 8
PROCESSES = 2


class Spent(NamedTuple):
    """Messages a second by the clock, and milliseconds of processor time for each."""

    per_sec: float
    python_ms: float
    postgres_ms: float

    @property
    def on_two_cores(self) -> float:
        """What two cores do that do nothing else."""
        return 2000 / (self.python_ms + self.postgres_ms)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as name, EmbeddedPostgres(Path(name) / "pg") as url:
        folder = Path(name)
        folder.chmod(0o755)
        bench_community.write(folder)
        uvloop.run(prepare(url, folder))
        floor, resources = uvloop.run(_floor(url))
        uvloop.run(workers.fill(url, MESSAGES, _message))
        postmaster = int(next(folder.rglob("postmaster.pid")).read_text().split()[0])
        hub = _drain(url, folder, postmaster)
        walk = _walk(url, folder, postmaster)
        Console().print(
            f"Journal → recorded and routed, {resources} resources a message, {PROCESSES} processes\n"
            f"  floor (COPY of ready rows in batches of {BATCH})  {floor:8,.0f} messages/s\n"
            f"  hutong                                       {hub.per_sec:8,.0f} messages/s   "
            f"hutong : floor {hub.per_sec / floor:.2f}\n"
            f"  processor time of a message   Python {hub.python_ms:.2f} ms   PostgreSQL {hub.postgres_ms:.2f} ms   "
            f"so two idle cores do {hub.on_two_cores:,.0f} messages/s\n"
            f"Durable intake → recorded and routed           {walk.per_sec:8,.0f} messages/s   "
            f"Python {walk.python_ms:.2f} ms   PostgreSQL {walk.postgres_ms:.2f} ms   "
            f"so two idle cores do {walk.on_two_cores:,.0f} messages/s"
        )


def _message(number: int) -> bytes:
    return oru(f"{number:016d}", f"{number % PATIENTS:07d}")


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


def _drain(url: str, folder: Path, postmaster: int) -> Spent:
    """Starts the workers of a hub and waits until the inbox is empty."""
    with workers.pipelines(url, folder, PROCESSES) as pids:
        begun = time.perf_counter()
        python, database = sum(map(cpu.used_secs, pids)), cpu.used_secs_with_children(postmaster)
        uvloop.run(workers.emptied(url, MESSAGES))
        return Spent(
            MESSAGES / (time.perf_counter() - begun),
            (sum(map(cpu.used_secs, pids)) - python) / MESSAGES * 1000,
            (cpu.used_secs_with_children(postmaster) - database) / MESSAGES * 1000,
        )


def _walk(url: str, folder: Path, postmaster: int) -> Spent:
    """As many messages again, with the workers there from the first: until the last of them is recorded and routed."""
    with workers.pipelines(url, folder, PROCESSES) as pids:
        pids = [*pids, os.getpid()]
        begun = time.perf_counter()
        python, database = sum(map(cpu.used_secs, pids)), cpu.used_secs_with_children(postmaster)
        uvloop.run(workers.fill(url, MESSAGES, lambda number: _message(MESSAGES + number)))
        uvloop.run(workers.emptied(url, 2 * MESSAGES))
        return Spent(
            MESSAGES / (time.perf_counter() - begun),
            (sum(map(cpu.used_secs, pids)) - python) / MESSAGES * 1000,
            (cpu.used_secs_with_children(postmaster) - database) / MESSAGES * 1000,
        )


if __name__ == "__main__":
    main()
