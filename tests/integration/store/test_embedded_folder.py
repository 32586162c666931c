"""Does a folder that cannot be used get a clear word instead of a broken database?"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import asyncpg
import pytest

from engine.errors import ConfigurationError, StorageError
from engine.store.embedded import EmbeddedPostgres, cluster
from engine.store.embedded.account import Account, for_cluster
from tests.integration.store.conftest import Own, as_nobody, give_to_nobody


def refused(folder: Path) -> ConfigurationError:
    server = EmbeddedPostgres(folder)
    with pytest.raises(ConfigurationError) as caught:
        server.start()
    assert not server.alive
    return caught.value


def test_a_folder_of_another_major_version_is_refused_by_both_versions(prepared: Path) -> None:
    (prepared / "cluster" / "PG_VERSION").write_text("16\n")
    error = refused(prepared)
    assert error.code == "postgres-other-version"
    assert "16" in error.message
    assert "18" in error.message


def test_a_bare_data_folder_of_postgresql_is_not_taken_for_ours(open_folder: Path) -> None:
    (open_folder / "PG_VERSION").write_text("18\n")
    assert refused(open_folder).code == "postgres-folder-foreign"


def test_a_folder_that_lost_its_control_file_is_not_made_anew(prepared: Path) -> None:
    (prepared / "cluster" / "global" / "pg_control").unlink()
    assert refused(prepared).code == "postgres-folder-foreign"
    assert (prepared / "cluster" / "base").exists(), "nothing of it was touched"


def test_a_folder_in_use_by_another_process_is_refused_at_once_naming_it(prepared: Path, own: Own) -> None:
    owner = own(prepared)
    error = refused(prepared)
    assert error.code == "postgres-folder-in-use"
    assert f"process {owner.process.pid}" in error.message
    assert owner.server()[0].is_running(), "and that other process is left in peace"


def test_a_folder_in_use_by_this_process_is_refused_too(prepared: Path) -> None:
    with EmbeddedPostgres(prepared):
        assert refused(prepared).code == "postgres-folder-in-use"


def test_a_folder_in_use_by_a_server_started_by_hand_is_refused(prepared: Path) -> None:
    account = for_cluster(prepared / "cluster")
    impostor = _sleeper(account, folder=prepared / "cluster")
    try:
        (prepared / "cluster" / "postmaster.pid").write_text(f"{impostor.pid}\n{prepared / 'cluster'}\n")
        assert refused(prepared).code == "postgres-folder-in-use"
        assert (prepared / "cluster" / "postmaster.pid").exists()
    finally:
        impostor.kill()
        impostor.communicate()


async def test_a_stale_pid_file_whose_number_another_program_has_by_now_is_no_obstacle(prepared: Path) -> None:
    account = for_cluster(prepared / "cluster")
    bystander = _sleeper(account, folder=Path("/"))
    try:
        stale = prepared / "cluster" / "postmaster.pid"
        stale.write_text(
            f"{bystander.pid}\n{prepared / 'cluster'}\n1700000000\n5432\n/tmp\n\n  5432001  99999999\nready   \n"
        )
        os.chown(stale, account.uid, account.gid)
        with EmbeddedPostgres(prepared) as url:
            connection = await asyncpg.connect(url)
            await connection.close()
    finally:
        bystander.kill()
        bystander.communicate()


def _sleeper(account: Account, *, folder: Path) -> subprocess.Popen[bytes]:
    """A program of the server's account that runs until killed, standing in a folder."""
    return subprocess.Popen(
        ["cat"],
        cwd=folder,
        stdin=subprocess.PIPE,
        user=None if account.is_ours else account.uid,
        group=None if account.is_ours else account.gid,
        extra_groups=None if account.is_ours else [],
    )


def test_a_file_in_the_place_of_the_folder_is_refused(open_folder: Path) -> None:
    (open_folder / "postgres").write_text("not a folder")
    error = refused(open_folder / "postgres")
    assert error.code == "postgres-folder-unusable"
    assert str(error.location) == str(open_folder / "postgres")


def test_a_folder_that_may_not_be_written_is_refused(open_folder: Path, own: Own) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o555)
    give_to_nobody(closed)
    owner = own(closed / "postgres", under=as_nobody())
    assert owner.says["error"] == "postgres-folder-unusable"


def test_a_first_start_that_fails_leaves_no_half_database(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = open_folder / "postgres"
    with monkeypatch.context() as broken:
        broken.setattr(cluster, "LOCALE", ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=nowhere"))
        with pytest.raises(StorageError) as caught:
            EmbeddedPostgres(folder).start()
        assert caught.value.code == "postgres-initdb"
        assert "nowhere" in caught.value.message
    assert not (folder / "cluster").exists()
    with EmbeddedPostgres(folder):
        pass


def test_a_server_that_cannot_start_says_why_and_lets_go_of_the_folder(prepared: Path) -> None:
    with pytest.raises(StorageError) as caught:
        EmbeddedPostgres(prepared, tuning={"shared_buffers": "more than there is"}).start()
    assert caught.value.code == "postgres-start"
    assert "shared_buffers" in caught.value.message
    with EmbeddedPostgres(prepared):
        pass
