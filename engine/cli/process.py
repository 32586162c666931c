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
import threading
from collections.abc import Callable
from contextlib import suppress
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
LAST_WORDS_SECS = 15.0
"""For what was taken to be answered; longer than a supervisor waits that is still there to end us itself."""


def main() -> None:
    role, folder, data = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {role} %(levelname)s %(message)s")
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)  # whoever asks the database tells that it is away
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
    threading.Thread(target=_end_with_supervisor, args=(loop, work.cancel), daemon=True).start()
    try:
        await work
    except asyncio.CancelledError:
        return


def _end_with_supervisor(loop: asyncio.AbstractEventLoop, end: Callable[[], object]) -> None:
    """Ends the work when standard input does; in a thread, because a loop that is stuck must end too."""
    while os.read(sys.stdin.fileno(), 1):
        pass  # the supervisor says nothing: the end is the message
    with suppress(RuntimeError):  # the loop has ended by itself
        loop.call_soon_threadsafe(end)
        threading.Event().wait(LAST_WORDS_SECS)
    os._exit(1)


def _say(ready: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
