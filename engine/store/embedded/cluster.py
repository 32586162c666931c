"""What is in the data folder: nothing yet, a database of ours, or something that must be left alone?"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigurationError, StorageError
from engine.store.embedded import process
from engine.store.embedded.account import Account
from engine.store.embedded.binaries import MAJOR, Binaries

APPLICATION = "hutong"
"""Role and database of the application; the role owns its database and nothing else."""
ADMINISTRATOR = "postgres"
"""Superuser role, and the database it connects to."""

CLOSED_MODES = (0o700, 0o750)
"""What PostgreSQL takes."""

SELF = Path("/proc/self/cwd")
"""The data folder by way of the working folder: the server needs no right to walk through the folders above it, so
data may lie below a private home while the server runs under another account."""

LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
"""The same order and case rules on every machine, whatever its C library says."""


def refuse_foreign(folder: Path, cluster: Path) -> None:
    """Raises ConfigurationError unless the cluster is missing or was made by this major version."""
    for place in (folder, cluster):
        found = _version(place)
        if found is not None and found != MAJOR:
            raise ConfigurationError(
                f"the database folder was made by PostgreSQL {found}, and this hutong runs {MAJOR}: start the hutong "
                "that made it and dump it (pg_dump), then restore into a new --data folder",
                location=str(place),
                code="postgres-other-version",
            )
    if _version(folder) is not None or (cluster.exists() and not (cluster / "global" / "pg_control").exists()):
        raise ConfigurationError(
            "this is no database folder that hutong made: choose another --data folder",
            location=str(folder),
            code="postgres-folder-foreign",
        )


def _version(place: Path) -> str | None:
    try:
        return (place / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def close_to_others(cluster: Path) -> None:
    """PostgreSQL refuses a folder that others may enter, and one that was copied back from a backup often is."""
    if stat.S_IMODE(cluster.stat().st_mode) not in CLOSED_MODES:
        cluster.chmod(0o700)


def create(cluster: Path, account: Account, binaries: Binaries) -> None:
    """Makes a cluster with the application's role and database; whole or not at all."""
    fresh = cluster.with_name(f"{cluster.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    account.take(fresh)
    initdb: list[str | Path] = [binaries.initdb, "-D", SELF, "-U", ADMINISTRATOR, "--auth=peer", *LOCALE]
    _run(initdb, fresh, account)
    single: list[str | Path] = [binaries.postgres, "--single", "-D", SELF, "-c", "log_checkpoints=off", ADMINISTRATOR]
    _run(
        single,
        fresh,
        account,
        sql=f"create role {APPLICATION} login;\ncreate database {APPLICATION} owner {APPLICATION};\n",
    )
    fresh.rename(cluster)
    _flush(cluster.parent)


def _run(program: Sequence[str | Path], folder: Path, account: Account, *, sql: str = "") -> None:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as statements:
        statements.write(sql.encode())
        statements.seek(0)
        child = process.start(
            program,
            account=account,
            folder=folder,
            death_signal=signal.SIGKILL,
            output=output.fileno(),
            input=statements.fileno() if sql else subprocess.DEVNULL,
        )
        code = child.wait()
        output.seek(0)
        said = output.read().decode("utf-8", "replace")
    # A stand-alone backend goes on after a failed statement and ends well: look at what it said, too.
    if code != 0 or "ERROR:" in said:
        raise StorageError(
            f"{Path(program[0]).name} failed: {' / '.join(said.splitlines()[-5:])}",
            location=str(folder),
            code="postgres-initdb",
        )


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Status:
    """What postmaster.pid says: its lines are process id, folder, start, port, socket, address, memory, status."""

    pid: int
    memory: int | None
    """Id of the System V segment that guards the folder."""
    status: str
    """starting, ready, stopping; empty while it is being written."""


NO_SERVER = Status(pid=0, memory=None, status="")


def status(cluster: Path) -> Status:
    try:
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return NO_SERVER
    if not lines or not lines[0].strip().isdigit():
        return NO_SERVER
    segment = lines[6].split() if len(lines) > 6 else []
    return Status(
        pid=int(lines[0]),
        memory=int(segment[1]) if len(segment) == 2 else None,
        status=lines[7].strip() if len(lines) > 7 else "",
    )


def settle_stale_pid(cluster: Path) -> None:
    """Clears a postmaster.pid whose number has been given to another process since.

    PostgreSQL itself copes with a number that nobody has. But after a restart of a container the same small numbers
    come round again, and it would refuse to start because some other program of the same account has "its" number.
    Raises ConfigurationError when it really is a server of this folder, started by somebody else's hand.
    """
    pid = status(cluster).pid
    if pid == 0:
        return
    try:
        working = os.stat(f"/proc/{pid}/cwd")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return  # gone, or of another account: PostgreSQL looks into that itself
    if os.path.samestat(working, cluster.stat()):
        raise ConfigurationError(
            f"the database folder is in use by a PostgreSQL that hutong did not start (process {pid}): stop it first",
            location=str(cluster),
            code="postgres-folder-in-use",
        )
    (cluster / "postmaster.pid").unlink()
