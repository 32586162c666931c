"""Which objects lie in a spool, whatever process took them, and whether that lives or not?

An object lies in one from before its answer until its row is there and it stands in the store. So one that lies in none
and has no row *afterwards* was never answered, or never gets a row: no process has to be asked, and none is waited for
that will not come back. It holds for processes on several machines as far as their file system has the one see what
another has written and locked.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.errors import StorageError
from pacs_gateway.segments.segment import SUFFIX, waiting_in
from pacs_gateway.segments.turns import looking


def lying(objects: Path, facility: str, sop_uids: Collection[str]) -> set[str]:
    """Blocking. Those of a facility's instances of which an object may have been answered that may still get its row.

    Raises StorageError when that cannot be told now.
    """
    spools, wanted, found = objects / "spool", set(sop_uids), set[str]()
    if not spools.is_dir():
        return found
    try:
        with looking(spools):
            for path in spools.glob(f"*/*/*{SUFFIX}"):
                found |= {head.sop_uid for head in waiting_in(path) if head.facility == facility} & wanted
    except OSError as error:
        raise StorageError(f"the spools cannot be looked through: {error.strerror}") from error
    return found
