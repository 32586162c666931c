"""How do acknowledgments compare with servers that keep nothing? `python -m bench.peer_acks`, all of them in one run.

hutong answers when the message is flushed to disk; `hl7`, `hl7apy` and npm's `node-hl7-server` when it is parsed.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench import community as bench_community
from bench.message import oru
from engine.cli.assembly import prepare
from engine.store.embedded import EmbeddedPostgres

CLIENTS = 8
SECS = 2.0
ROUNDS = 5
NODE_PACKAGE = "node-hl7-server@2.5.0"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as name, EmbeddedPostgres(Path(name) / "pg") as url:
        folder = Path(name)
        folder.chmod(0o755)
        bench_community.write(folder)
        asyncio.run(prepare(url, folder))
        with _servers(folder, url) as ports:
            _report(ports)


@contextmanager
def _servers(folder: Path, url: str) -> Iterator[dict[str, int]]:
    subprocess.run(
        ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(folder / "node"), NODE_PACKAGE],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    here = Path(__file__).parent / "peers"
    commands = {
        "hl7": [sys.executable, "-m", "bench.peers.hl7_server"],
        "hl7apy": [sys.executable, "-m", "bench.peers.hl7apy_server"],
        "node-hl7-server": ["node", str(here / "node_hl7_server.mjs"), str(folder / "node")],
        "hutong": [sys.executable, "-m", "engine.cli.process", "engine", str(folder), str(folder)],
    }
    environment = {**os.environ, "HUTONG_DATABASE_URL": url}
    processes = {
        name: subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        for name, command in commands.items()
    }
    try:
        yield {name: _port(process) for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.terminate()
            process.wait()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    port: int = said if isinstance(said, int) else said["mllp"][bench_community.CHANNEL]
    return port


def _report(ports: dict[str, int]) -> None:
    rounds = [
        {
            name: _load(port, f"{os.getpid() % 1000:03d}{number}{place}")
            for place, (name, port) in enumerate(ports.items())
        }
        for number in range(ROUNDS)
    ]
    size = len(oru("x" * 16, "p" * 7)) / 1000
    table = Table(title=f"{CLIENTS} clients, a connection for each ORU^R01 of {size:.1f} KB")
    for heading in ("server", "/s", "p99 ms", "hutong : it", "what an answer means"):
        table.add_column(heading, justify="left" if heading in ("server", "what an answer means") else "right")
    for name in ports:
        table.add_row(
            name,
            f"{median(each[name]['per_second'] for each in rounds):,.0f}",
            f"{median(each[name]['p99_ms'] for each in rounds):.1f}",
            f"{median(each['hutong']['per_second'] / each[name]['per_second'] for each in rounds):.2f}",
            "flushed to disk, duplicates known" if name == "hutong" else "parsed; nothing is kept",
        )
    Console().print(table)
    Console().print(f"{ROUNDS} rounds of {SECS:.0f} s each, in turn; medians. Ratios are of pairs of the same round.")


def _load(port: int, prefix: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.load_once", str(port), str(CLIENTS), str(SECS), prefix],
        capture_output=True,
        text=True,
        check=True,
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


if __name__ == "__main__":
    main()
