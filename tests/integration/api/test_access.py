"""Nobody gets in without a live token, nobody does what his roles do not allow, and no refusal tells data."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome

from engine.api.app import create_app
from engine.api.services import Services
from engine.errors import ConfigurationError
from engine.store import access
from tests.integration.api.conftest import NOW, client_with

TokenOf = Callable[[str], Awaitable[str]]


async def test_everything_answers_401_without_a_token(anonymous: httpx.AsyncClient) -> None:
    for path in (
        "/fhir",
        "/fhir/Patient",
        "/fhir/Patient/p",
        "/fhir/metadata/x",
        "/api/me",
        "/api/trace?word=1",
        "/api/openapi.json",
        "/api/none",
        "/dicomweb/studies",
        "/cds-services/x",
        "/api/users/wang/tokens",
        "http://hub.test//api/me",
    ):
        answer = await anonymous.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Bearer")
        kind = "fhir+json" if path.startswith("/fhir") else "problem+json"
        assert kind in answer.headers["content-type"], path
    OperationOutcome.model_validate((await anonymous.get("/fhir/Patient")).json())
    assert (await anonymous.post("/api/users/wang/tokens")).status_code == 401


async def test_health_metadata_and_discovery_answer_to_anybody(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get("/health")).json() == {"status": "ok"}
    assert (await anonymous.get("/cds-services")).json() == {"services": []}
    statement = (await anonymous.get("/fhir/metadata")).json()
    assert "/dicomweb," in statement["rest"][0]["documentation"]
    CapabilityStatement.model_validate(statement)
    assert statement["fhirVersion"] == "4.0.1"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer hutong_" + "a" * 43,
        "Bearer " + "a" * 100_000,
        "Basic d2FuZzp3YW5n",
        "Bearer ' or 1=1 --",
        "Token {token}",
    ],
)
async def test_no_other_header_opens_the_door(anonymous: httpx.AsyncClient, token_of: TokenOf, header: str) -> None:
    token = await token_of("wang")
    headers = {"Authorization": header.format(token=token)}
    assert (await anonymous.get("/api/me", headers=headers)).status_code == 401
    assert (await anonymous.get(f"/api/me?access_token={token}&token={token}")).status_code == 401
    assert (await anonymous.get("/api/me", headers={"Cookie": f"token={token}"})).status_code == 401


async def test_a_token_says_who_is_asking(app: FastAPI, token_of: TokenOf) -> None:
    async with client_with(app, await token_of("wang")) as wang:
        me = (await wang.get("/api/me")).json()
    assert me["name"] == "wang"
    assert me["facility"] == "qingxi-county"
    assert "reader" in me["roles"]
    assert me["facility_name"]


async def test_the_token_itself_is_kept_nowhere(pool: asyncpg.Pool, token_of: TokenOf) -> None:
    token = await token_of("wang")
    row = await pool.fetchrow("select * from access_token")
    assert row is not None
    assert token not in str(dict(row))
    assert token.encode() not in row["digest"]


async def test_the_administrator_issues_and_revokes_and_nobody_else_does(
    app: FastAPI, admin: httpx.AsyncClient, reader: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    for request in (reader.post("/api/users/li/tokens"), reader.delete("/api/users/li/tokens")):
        refused = await request
        assert refused.status_code == 403
        assert refused.json()["code"] == "forbidden"
    assert (await reader.get("/api/users")).status_code == 403
    issued = await admin.post("/api/users/li/tokens")
    assert issued.status_code == 201
    async with client_with(app, issued.json()["token"]) as li:
        assert (await li.get("/api/me")).json()["name"] == "li"
        accounts = {account["name"]: account for account in (await admin.get("/api/users")).json()}
        assert accounts["li"]["live_tokens"] == 1
        assert (await admin.delete("/api/users/li/tokens")).json() == {"revoked": 1}
        assert (await li.get("/api/me")).status_code == 401
    assert (await admin.post("/api/users/nobody/tokens")).status_code == 404
    actions = await pool.fetch("select actor, action, subject from audit order by id")
    assert [tuple(row) for row in actions] == [
        ("Administrator", "issue-token", "User/li"),
        ("Administrator", "revoke-tokens", "User/li"),
    ]


async def test_a_user_who_is_no_longer_configured_is_out(app: FastAPI, token_of: TokenOf) -> None:
    async with client_with(app, await token_of("somebody-who-left")) as gone:
        assert (await gone.get("/api/me")).status_code == 401


async def test_the_administrators_token_is_made_once_and_kept_from_others(pool: asyncpg.Pool, tmp_path: Path) -> None:
    async with pool.acquire() as connection:
        path = await access.ensure_admin_token(connection, tmp_path, NOW)
        token = path.read_text().strip()
        assert path == tmp_path / "admin.token"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o644)
        assert (await access.ensure_admin_token(connection, tmp_path, NOW)).read_text().strip() == token
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await access.holder(connection, token) == access.ADMINISTRATOR

        await connection.execute("delete from access_token")
        await access.ensure_admin_token(connection, tmp_path, NOW)
        assert await access.holder(connection, token) == access.ADMINISTRATOR, "a fresh database knows the old token"

        await access.revoke_all(connection, access.ADMINISTRATOR, NOW)
        fresh = (await access.ensure_admin_token(connection, tmp_path, NOW)).read_text().strip()
        assert fresh != token
        assert await access.holder(connection, token) is None
        assert await access.holder(connection, fresh) == access.ADMINISTRATOR

        path.write_text("")
        repaired = (await access.ensure_admin_token(connection, tmp_path, NOW)).read_text().strip()
        assert await access.holder(connection, repaired) == access.ADMINISTRATOR
        assert [file.name for file in tmp_path.iterdir()] == ["admin.token"]


async def test_a_route_that_would_need_no_token_is_refused_at_start(services: Services) -> None:
    stray = APIRouter()
    stray.add_api_route("/open/door", lambda: None, methods=["GET"])
    with pytest.raises(ConfigurationError, match="outside the prefixes"):
        create_app(services, [stray])


async def test_the_page_is_open_and_the_browser_is_told_to_be_strict(services: Services, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><title>互通</title>")
    transport = httpx.ASGITransport(app=create_app(services, static_folder=tmp_path))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as browser:
        page = await browser.get("/")
        assert page.status_code == 200
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        assert (await browser.get("/../conftest.py")).status_code == 404
        assert (await browser.get("/%2e%2e/%2e%2e/etc/passwd")).status_code == 404
        assert (await browser.get("/api/me")).status_code == 401


async def test_an_unforeseen_error_tells_nothing_and_logs_only_its_place(
    services: Services, token_of: TokenOf, caplog: pytest.LogCaptureFixture
) -> None:
    broken = APIRouter(prefix="/api")

    async def fail() -> None:
        raise ValueError("张三丰 110105194912310021")

    broken.add_api_route("/broken", fail, methods=["GET"])
    async with client_with(create_app(services, [broken]), await token_of("wang")) as client:
        answer = await client.get("/api/broken")
    assert answer.status_code == 500
    assert answer.json()["code"] == "unexpected"
    assert "张三丰" not in answer.text + caplog.text
    assert "ValueError at tests/integration/api/test_access.py" in caplog.text


async def test_a_body_that_is_not_as_described_is_refused_without_repeating_it(admin: httpx.AsyncClient) -> None:
    answer = await admin.post(
        "/api/findings/00000000-0000-0000-0000-000000000000/settle", json={"settlement": 5, "name": "张三丰"}
    )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "张三丰" not in answer.text
    assert answer.json()["problems"] == [{"location": "body.settlement", "problem": "string_type"}]
    assert (await admin.post("/api/findings/x/settle", content=b"\xff\x00")).status_code == 422
    assert (await admin.put("/api/me")).status_code == 405


async def test_a_body_that_would_fill_memory_is_refused_while_it_is_read(admin: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b"x" * 1_000_000

    path = "/api/findings/00000000-0000-0000-0000-000000000000/settle"
    answer = await admin.post(path, content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["code"] == "too-long"
    assert sent < 10


async def test_a_database_that_is_away_is_told_as_unavailable(
    services: Services, anonymous: httpx.AsyncClient, token_of: TokenOf
) -> None:
    token = await token_of("wang")
    await services.pool.close()
    for path in ("/health", "/fhir/Patient/p1", "/api/me"):
        answer = await anonymous.get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 503, path
        assert answer.headers["retry-after"]
