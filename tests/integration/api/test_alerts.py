"""The console shows incidents, and who knows of them."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import httpx
import pytest

from tests.integration.api.conftest import NOW
from tests.integration.api.test_console import IDS


@pytest.fixture
async def opened(pool: asyncpg.Pool) -> list[str]:
    """Five incidents, the oldest first; the first is closed."""
    numbers = [IDS.next(NOW - timedelta(hours=5 - hour)) for hour in range(5)]
    await pool.executemany(
        """
        insert into incident (id, cause, kind, subject, code, severity, since, opened_at, last_seen_at, closed_at,
                              amount, most, next_reminder_at)
        values ($1::uuid, 'held/' || $1::uuid::text, 'held', 'baishi-his', 'no-mapping', 'error', $2, $2, $2, $3,
                7, 9, $2)
        """,
        [
            (number, NOW - timedelta(hours=5 - hour), None if hour else NOW - timedelta(hours=1))
            for hour, number in enumerate(numbers)
        ],
    )
    return [str(number) for number in numbers]


async def test_open_and_closed_ones_are_listed_apart_and_by_page(reader: httpx.AsyncClient, opened: list[str]) -> None:
    first = (await reader.get("/api/alerts", params={"limit": 3})).json()
    second = (await reader.get("/api/alerts", params={"limit": 3, "after": first["next"]})).json()
    assert [alert["id"] for page in (first, second) for alert in page["alerts"]] == opened[:0:-1]
    assert second["next"] is None
    closed = (await reader.get("/api/alerts", params={"state": "closed"})).json()["alerts"]
    assert [alert["id"] for alert in closed] == opened[:1]
    assert first["alerts"][0]["text_zh"].startswith("通道 baishi-his 有报文滞留（no-mapping），7 条")
    assert "messages: 9" in closed[0]["text_en"]


async def test_who_knows_of_it_and_why_is_kept_and_audited(
    admin: httpx.AsyncClient, reader: httpx.AsyncClient, opened: list[str], pool: asyncpg.Pool
) -> None:
    path = f"/api/alerts/{opened[1]}/acknowledge"
    assert (await reader.post(path, json={"why": "厂家已通知"})).status_code == 403
    known = (await admin.post(path, json={"why": "厂家已通知"})).json()
    assert (known["acknowledged_by"], known["acknowledgment"]) == ("Administrator", "厂家已通知")
    assert await pool.fetchval("select count(*) from incident where next_reminder_at is null") == 1
    row = await pool.fetchrow("select actor, subject from audit where action = 'acknowledge-alert'")
    assert tuple(row) == ("Administrator", f"Incident/{opened[1]}")


async def test_what_cannot_be_acknowledged_is_refused(admin: httpx.AsyncClient, opened: list[str]) -> None:
    async def status(incident: str, why: str) -> int:
        return (await admin.post(f"/api/alerts/{incident}/acknowledge", json={"why": why})).status_code

    assert await status(opened[0], "x") == 409
    assert await status(str(IDS.next(NOW)), "x") == 404
    for why in ("", "a\x00b", "x" * 2001):
        assert await status(opened[1], why) == 422
    for path in ("?after=x", "?after=2026-01-01T00:00:00~x", "?state=all", "?limit=0"):
        assert (await admin.get(f"/api/alerts{path}")).status_code in (400, 422)
