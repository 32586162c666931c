"""How are objects taken by a stranger to us? DCMTK's storescp, at work for a while, puts them into a folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.integration.gateway.archives import at_work


@asynccontextmanager
async def storescp(folder: Path, port: int, *options: str | Path) -> AsyncIterator[Path]:
    """Once it listens, and until it is killed. Yields the file of what it says, which begins anew each time."""
    folder.mkdir(exist_ok=True)
    said = folder.with_suffix(".log")
    with said.open("wb") as output:
        async with at_work((port,), "storescp", *options, "-od", folder, str(port), output=output):
            yield said
