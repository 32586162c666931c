"""How close do durable acknowledgments come to the floor? `python -m bench.acks` runs both in turn, and their ratio."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench import community as bench_community
from bench.message import oru
from engine.cli.assembly import prepare
from engine.store.embedded import EmbeddedPostgres

CONNECTIONS = (1, 8, 64)
SECS = 2.0
ROUNDS = 7
BAR = 0.5


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as name, EmbeddedPostgres(Path(name) / "pg") as url:
        folder = Path(name)
        Path(name).chmod(0o755)
        bench_community.write(folder)
        asyncio.run(prepare(url, folder))
        floor = _start([sys.executable, "-m", "bench.floor_mllp", url], {})
        hub = _start(
            [sys.executable, "-m", "engine.cli.process", "engine", str(folder), str(folder)],
            {"HUTONG_DATABASE_URL": url},
        )
        try:
            floor_port = int(_line(floor))
            hub_port = json.loads(_line(hub))["mllp"][bench_community.CHANNEL]
            _report(floor_port, hub_port)
        finally:
            for process in (floor, hub):
                process.terminate()
                process.wait()


def _report(floor_port: int, hub_port: int) -> None:
    table = Table(
        title=f"Durable MLLP acknowledgments, ORU^R01 of {len(oru('x' * 16, 'p' * 7)) / 1000:.1f} KB, fsync on"
    )
    for heading in ("connections", "floor /s", "p99 ms", "hutong /s", "p99 ms", "hutong : floor"):
        table.add_column(heading, justify="right")
    for connections in CONNECTIONS:
        pairs = []
        for number in range(ROUNDS):
            run = f"{os.getpid() % 1000:03d}{number}{connections:02d}"
            pairs.append((_load(floor_port, connections, "F" + run), _load(hub_port, connections, "H" + run)))
        floor, hub = (median(pair[side]["per_second"] for pair in pairs) for side in (0, 1))
        slow_floor, slow_hub = (median(pair[side]["p99_ms"] for pair in pairs) for side in (0, 1))
        ratio = median(pair[1]["per_second"] / pair[0]["per_second"] for pair in pairs)
        table.add_row(
            str(connections), f"{floor:,.0f}", f"{slow_floor:.1f}", f"{hub:,.0f}", f"{slow_hub:.1f}", f"{ratio:.2f}"
        )
    Console().print(table)
    Console().print(f"Asked: at least {BAR} of the floor. {ROUNDS} rounds of {SECS:.0f} s each way, in turn; medians.")


def _load(port: int, connections: int, prefix: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.load", str(port), str(connections), str(SECS), prefix],
        capture_output=True,
        text=True,
        check=True,
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


if __name__ == "__main__":
    begun = time.perf_counter()
    main()
    Console().print(f"Took {time.perf_counter() - begun:.0f} s.")
