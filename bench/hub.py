"""How large is a hub at rest, and how long does the demo take? `python -m bench.hub`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from conformance.community import stage_community
from conformance.hub import HubProcess

EXAMPLE = Path(__file__).parents[1] / "docker" / "example"
REST_SECS = 5.0
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Size:
    """One process. Resident memory counts shared pages in every process, proportional memory counts each once."""

    what: str
    resident: float
    proportional: float


def main() -> None:
    sizes = asyncio.run(_at_rest())
    table = Table(title="`hutong serve` at rest, the example community, PostgreSQL apart")
    for heading in ("process", "resident MB", "proportional MB"):
        table.add_column(heading, justify="left" if heading == "process" else "right")
    for size in sizes:
        table.add_row(size.what, f"{size.resident:.0f}", f"{size.proportional:.0f}")
    resident, proportional = sum(s.resident for s in sizes), sum(s.proportional for s in sizes)
    table.add_row("all", f"{resident:.0f}", f"{proportional:.0f}", style="bold")
    Console().print(table)
    Console().print(f"`hutong demo --headless` took {_demo_secs():.0f} s, its database made from nothing.")


async def _at_rest() -> list[Size]:
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as name:
        folder = Path(name)
        stage_community(EXAMPLE, folder / "community", http_port=0, endpoints={})
        async with HubProcess(folder / "community", folder / "data", folder / "log"):
            await asyncio.sleep(REST_SECS)  # what starting needed is given back
            return [size for child in psutil.Process().children() for size in _sizes(child)]


def _sizes(hub: psutil.Process) -> list[Size]:
    return [_size(process) for process in (hub, *hub.children()) if "postgres" not in process.name()]


def _size(process: psutil.Process) -> Size:
    words = process.cmdline()
    what = words[words.index("engine.cli.process") + 1] if "engine.cli.process" in words else "supervisor"
    memory = process.memory_full_info()
    return Size(what, memory.rss / MEGABYTE, memory.pss / MEGABYTE)


def _demo_secs() -> float:
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as name:
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "engine.cli.main", "demo", "--headless", "--data", f"{name}/data"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return time.perf_counter() - begun


if __name__ == "__main__":
    main()
