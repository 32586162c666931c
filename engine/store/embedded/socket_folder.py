"""Where is the server's socket, when the name of a unix socket may have 107 bytes and no more?"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path

from engine.store.embedded.account import Account
from engine.store.embedded.settings import PORT

LONGEST = 107
"""sun_path of unix(7) holds 108 bytes with the closing zero."""
PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
"""A host in a database address is cut at commas and colons."""
SHORT = Path("/tmp")


def fits(folder: Path) -> bool:
    """Whether a socket in this folder can be named in a database address."""
    name = str(folder / f".s.PGSQL.{PORT}")
    return len(name) <= LONGEST and PLAIN.fullmatch(name) is not None


def short(cluster: Path, account: Account) -> Path:
    """A folder with a short name that only the server's account may write; the same one at every start.

    Where somebody else has taken that name, a new one.
    """
    digest = hashlib.sha256(os.fsencode(cluster.resolve())).hexdigest()[:16]
    folder = SHORT / f"hutong-{digest}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and not found.st_mode & 0o077:
            return folder
        folder = Path(tempfile.mkdtemp(prefix="hutong-", dir=SHORT))
    account.take(folder)
    return folder
