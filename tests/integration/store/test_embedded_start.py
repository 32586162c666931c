"""Does the embedded server start where it should, with the settings that the promises need?"""

from __future__ import annotations

from pathlib import Path

import asyncpg
import psutil
import pytest

from engine.store.embedded import EmbeddedPostgres
from tests.integration.store.conftest import Own, as_nobody, family, give_to_nobody, gone


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_the_database_is_in_utf8_with_the_same_order_on_every_machine(
    embedded_postgres: EmbeddedPostgres,
) -> None:
    assert (
        await ask(
            embedded_postgres.url,
            """
            select format('%s %s %s %s', pg_encoding_to_char(encoding), datlocprovider, datlocale, datcollate)
            from pg_database where datname = current_database()
            """,
        )
        == "UTF8 b C.UTF-8 C"
    )
    assert await ask(embedded_postgres.url, "select upper('ä')") == "Ä"


async def test_the_application_is_no_superuser(embedded_postgres: EmbeddedPostgres) -> None:
    assert await ask(embedded_postgres.url, "select current_user") == "hutong"
    assert await ask(embedded_postgres.url, "select usesuper from pg_user where usename = current_user") is False


async def test_the_data_outlives_a_stop_and_the_address_stays(prepared: Path) -> None:
    server = EmbeddedPostgres(prepared)
    first = server.start()
    await ask(first, "create table kept as select 7 as value")
    server.stop()
    second = server.start()
    assert second == first
    assert await ask(second, "select value from kept") == 7
    server.stop()


async def test_a_folder_copied_back_with_other_rights_is_closed_again(prepared: Path) -> None:
    place = prepared / "cluster"
    place.chmod(0o755)
    with EmbeddedPostgres(prepared) as url:
        assert await ask(url, "select 1") == 1
    assert place.stat().st_mode & 0o777 == 0o700


async def test_no_file_in_the_folder_can_turn_durability_off(prepared: Path) -> None:
    server = EmbeddedPostgres(prepared, tuning={"fsync": "off", "work_mem": "5MB"})
    server.start()
    await ask(server.administrator_url, "alter system set fsync = off")
    await ask(server.administrator_url, "alter system set full_page_writes = off")
    server.stop()
    server.start()
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        assert await ask(server.url, f"show {name}") == "on"
    assert await ask(server.url, "show work_mem") == "5MB"
    server.stop()


async def test_the_surroundings_do_not_redirect_it(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGOPTIONS", "-c fsync=off")
    with EmbeddedPostgres(prepared) as url:
        monkeypatch.delenv("PGOPTIONS")  # a client would send it
        assert await ask(url, "show fsync") == "on"


async def test_it_runs_in_a_folder_that_its_account_cannot_walk_to(open_folder: Path) -> None:
    private = open_folder / "home"
    private.mkdir(mode=0o700)
    with EmbeddedPostgres(private / "data" / "postgres") as url:
        assert await ask(url, "select 1") == 1


@pytest.mark.parametrize("name", ["青溪县 医共体, 数据:1", "x" * 90], ids=["odd characters", "too long for a socket"])
async def test_it_runs_in_a_folder_whose_name_is_none_for_a_socket(open_folder: Path, name: str) -> None:
    server = EmbeddedPostgres(open_folder / name / "postgres")
    url = server.start()
    assert await ask(url, "select 1") == 1
    sockets = Path(url.partition("host=")[2].partition("&")[0])
    assert not sockets.stat().st_mode & 0o077
    server.stop()
    assert not sockets.exists()
    assert server.start() == url, "the same folder has the same address at every start"
    server.stop()


async def test_a_socket_folder_that_another_user_prepared_is_not_used(open_folder: Path, prepared: Path) -> None:
    server = EmbeddedPostgres(open_folder / ("x" * 90) / "postgres")
    sockets = Path(server.start().partition("host=")[2].partition("&")[0])
    server.stop()
    sockets.mkdir(mode=0o777)
    sockets.chmod(0o777)
    try:
        url = server.start()
        assert f"host={sockets}&" not in url
        assert await ask(url, "select 1") == 1
        server.stop()
    finally:
        sockets.rmdir()


def test_an_ordinary_user_starts_it_under_its_own_account(open_folder: Path, own: Own) -> None:
    folder = open_folder / "data"
    folder.mkdir()
    give_to_nobody(folder)
    owner = own(folder / "postgres", under=as_nobody())
    assert "pid" in owner.says, owner.says
    assert psutil.Process(int(owner.says["pid"])).uids().effective == owner.says["user"] != 0
    server = owner.server()
    owner.process.kill()
    assert gone(server)


def test_a_server_never_runs_as_root(embedded_postgres: EmbeddedPostgres) -> None:
    assert all(process.uids().effective != 0 for process in family(embedded_postgres.pid))
    assert (embedded_postgres.folder / "cluster").stat().st_mode & 0o077 == 0
