"""The floor of `bench.wado`: granian sends plain files by path. `python -m bench.floor_files PORT DIR`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from granian.constants import Interfaces
from granian.server.embed import Server


async def serve(port: int, folder: Path) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        path = folder / scope["path"].rpartition("/")[2]
        headers = [(b"content-length", str(path.stat().st_size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.pathsend", "path": str(path)})

    server = Server(application, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False)
    await server.serve()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
