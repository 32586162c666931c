"""Can another user of the machine read the database, and does its log keep the secrets of patients?"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from pathlib import Path

import asyncpg
import pytest

from engine.store.embedded import EmbeddedPostgres


def greeted(uid: int, server: EmbeddedPostgres, role: str) -> bytes:
    """What the server answers a client of that user: the kernel tells it who we were when we connected."""
    parameters = f"user\0{role}\0database\0hutong\0\0".encode()
    hello = struct.pack("!ii", len(parameters) + 8, 196_608) + parameters  # StartupMessage of protocol 3.0
    with socket.socket(socket.AF_UNIX) as client:
        us = os.geteuid()
        os.seteuid(uid)
        try:
            client.connect(str(server.folder / "cluster" / ".s.PGSQL.5432"))
        finally:
            os.seteuid(us)
        client.sendall(hello)
        return client.recv(4096)


@pytest.fixture
def server(prepared: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(prepared)


@pytest.mark.parametrize("role", ["hutong", "postgres"])
def test_the_owner_needs_no_password(server: EmbeddedPostgres, role: str) -> None:
    with server:
        assert b"application_name" in greeted(os.geteuid(), server, role)


@pytest.mark.parametrize("role", ["hutong", "postgres"])
async def test_the_only_way_in_is_to_be_the_owner(server: EmbeddedPostgres, role: str) -> None:
    us = pwd.getpwuid(os.geteuid()).pw_name
    with server:
        connection = await asyncpg.connect(server.administrator_url)
        rules = await connection.fetch("select type, auth_method, options from pg_hba_file_rules")
        assert [tuple(rule) for rule in rules] == [("local", "peer", ["map=hutong"])]
        mapped = await connection.fetch("select sys_name, pg_username from pg_ident_file_mappings")
        assert {tuple(each) for each in mapped} == {(us, "hutong"), (us, "postgres")}
        await connection.close()


@pytest.mark.parametrize("role", ["hutong", "postgres"])
def test_root_lets_no_other_user_in(server: EmbeddedPostgres, role: str) -> None:
    """Only root can play another user, so for anybody else this holds by the rules tested above."""
    if os.geteuid() != 0:
        return
    with server:
        runs_it = (server.folder / "cluster").stat().st_uid
        assert b"Peer authentication failed" in greeted(runs_it, server, role)
        with pytest.raises(PermissionError):
            greeted(pwd.getpwnam("daemon").pw_uid, server, role)


async def test_no_network_port_is_open(embedded_postgres: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(embedded_postgres.url)
    assert await connection.fetchval("select inet_server_addr()") is None
    assert await connection.fetchval("show listen_addresses") == ""
    await connection.close()


async def test_what_a_failed_statement_held_is_not_in_the_log(server: EmbeddedPostgres) -> None:
    with server as url:
        connection = await asyncpg.connect(url)
        await connection.execute("create table person (name text primary key)")
        await connection.execute("insert into person values ($1)", "测试患者")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("insert into person values ($1)", "测试患者")
        with pytest.raises(asyncpg.InvalidTextRepresentationError):
            await connection.execute("select '测试患者'::int")
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await connection.execute("selekt '测试患者'")
        await connection.close()
    log = server.folder / "log"
    assert b"ready to accept connections" in log.read_bytes()
    assert "测试患者".encode() not in log.read_bytes()
    assert not log.stat().st_mode & 0o077
