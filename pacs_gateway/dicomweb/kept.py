"""Where is kept what was made of stored objects and could be made again? Files by study, whole or not there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from pathlib import Path

from pacs_gateway.segments.spool import make_folder

MOST_OF_A_STUDY = 500
"""Files. A study grows by a few; what is asked for in ever new forms is not to fill the disk."""


class Kept:
    """A folder that may be deleted at any time. Names are the caller's digests of all that the content depends on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def get(self, study_uid: str, name: str) -> bytes | None:
        """None where nothing is kept."""
        return await asyncio.to_thread(_read, self._folder / study_uid / name)

    async def put(self, study_uid: str, name: str, content: bytes) -> None:
        await asyncio.to_thread(_keep, self._folder / study_uid / name, content)

    async def only(self, study_uid: str, names: Collection[str]) -> None:
        """Forgets whatever else is kept of a study, half written files too."""
        await asyncio.to_thread(_drop_others, self._folder / study_uid, names)


def _drop_others(folder: Path, names: Collection[str]) -> None:
    try:
        for path in list(folder.iterdir()):
            if path.name not in names:
                path.unlink(missing_ok=True)
        if not names:
            folder.rmdir()
    except OSError:  # there is none, or somebody writes into it; what cannot be deleted is never asked for either
        return


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _keep(path: Path, content: bytes) -> None:
    """Whole or not at all, also after a power cut. A disk that is full keeps nothing."""
    unfinished = path.with_suffix(f".{os.getpid()}")
    try:
        make_folder(path.parent)
        others = list(path.parent.iterdir())
        if len(others) >= MOST_OF_A_STUDY:
            for other in others:
                other.unlink(missing_ok=True)
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
