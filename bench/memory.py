"""Does a pipeline process grow? `python -m bench.memory [MESSAGES]`: its memory over 200,000 messages.

The tables are emptied between the rounds, because the records of so many messages would fill a disk. What is measured
is the process, which knows nothing of that.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import uvloop
from rich.console import Console

from bench import community as bench_community
from bench import workers
from bench.message import oru
from engine.cli.assembly import prepare
from engine.store.database import connect
from engine.store.embedded import EmbeddedPostgres

MESSAGES = 200_000
ROUNDS = 20
PATIENTS = 5000
_TABLES = (
    "journal, repeat_guard, outcome, past_lane, resource, resource_history, audit, finding, patient_link, person_key"
)


def main() -> None:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES
    console = Console()
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as name, EmbeddedPostgres(Path(name) / "pg") as url:
        folder = Path(name)
        folder.chmod(0o755)
        bench_community.write(folder)
        uvloop.run(prepare(url, folder))
        console.print("Memory of one pipeline process\n  messages   now, MB   most so far, MB")
        with workers.pipelines(url, folder, 1) as (pid,):
            _show(console, 0, pid)
            for done in range(0, messages, messages // ROUNDS):
                _run_round(url, done, messages // ROUNDS)
                _show(console, done + messages // ROUNDS, pid)


def _run_round(url: str, first: int, count: int) -> None:
    uvloop.run(workers.fill(url, count, lambda number: _message(first + number)))
    uvloop.run(workers.emptied(url, count))
    uvloop.run(_forget(url))


def _message(number: int) -> bytes:
    return oru(f"{number:016d}", f"{number % PATIENTS:07d}")


async def _forget(url: str) -> None:
    connection = await connect(url)
    await connection.execute(f"truncate {_TABLES}")
    await connection.close()


def _show(console: Console, messages: int, pid: int) -> None:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    console.print(f"  {messages:8,}  {kilobytes['VmRSS'] / 1024:8.1f}  {kilobytes['VmHWM'] / 1024:8.1f}")


if __name__ == "__main__":
    main()
