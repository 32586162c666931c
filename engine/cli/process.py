"""What runs inside one process of a hub? `python -m engine.cli.process ROLE FOLDER DATA`, started by `hutong serve`.

It says on standard output, in one line of JSON, what it listens on; and it ends when its standard input does, so that
nothing outlives a supervisor that was killed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop

from engine.cli import assembly
from engine.errors import HutongError

ROLES = {
    "engine": assembly.run_engine,
    "pipeline": assembly.run_pipeline,
    "web": assembly.run_web,
    "gateway": assembly.run_gateway,
}
PORTS = "HUTONG_PORTS"
"""What a process that is started again listened on before, as JSON."""


def main() -> None:
    role, folder, data = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {role} %(levelname)s %(message)s")
    database_url = os.environ["HUTONG_DATABASE_URL"]
    try:
        if role == "prepare":
            uvloop.run(assembly.prepare(database_url, data))
        else:
            uvloop.run(_run(role, folder, data, database_url))
    except HutongError as error:
        _say({"failed": error.message})
        sys.exit(1)
    except OSError as error:
        _say({"failed": f"{role}: {error.strerror or error}"})
        sys.exit(1)


async def _run(role: str, folder: Path, data: Path, database_url: str) -> None:
    loop = asyncio.get_running_loop()
    ports: dict[str, Any] = json.loads(os.environ.get(PORTS, "{}"))
    work = asyncio.ensure_future(ROLES[role](folder, data, database_url, ports, _say))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    await loop.connect_read_pipe(lambda: _EndsWith(work), sys.stdin)
    try:
        await work
    except asyncio.CancelledError:
        return


class _EndsWith(asyncio.Protocol):
    """Cancels the work when standard input ends."""

    def __init__(self, work: asyncio.Future[None]) -> None:
        self._work = work

    def connection_lost(self, _error: Exception | None) -> None:
        self._work.cancel()


def _say(ready: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
