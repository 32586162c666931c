"""A person sees in a real browser which studies are short, what is missing of one, and says that it will not come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import asyncpg
import pytest
from playwright.async_api import expect

from engine.store import announcements, imaging
from engine.store.announcements import Announced, Source
from engine.store.instances import Instance
from tests.integration.reading.browsing import SignIn, is_told

HOSTILE = "<img src=x onerror=window.broken=1>"
AT = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
STUDY = "1.2.826.0.1.4711"
FIRST, SECOND = f"{STUDY}.1", f"{STUDY}.2"


def instance(series: str, number: int) -> Instance:
    tags = {"patient_id": "BS0001", "patient_name": HOSTILE, "accession": "ACC1", "series_description": HOSTILE}
    return Instance(
        sop_uid=f"{series}.{number}",
        facility="baishi",
        sha256=sha256(f"{series} {number}".encode()).digest(),
        study_uid=STUDY,
        series_uid=series,
        sop_class="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax="1.2.840.10008.1.2.1",
        modality="CT",
        number=number,
        bytes=100,
        location=f"baishi/{series}/{number}.dcm",
        tags=json.dumps({"modality": "CT", **tags}),
        charset=json.dumps({"declared": "", "used": "ascii", "doubtful": False, "findings": {}}),
        peer="CT_BAISHI@10.0.0.7:1234",
        stored_at=AT - timedelta(hours=1),
    )


def named(series: str, numbers: Sequence[int]) -> list[Announced]:
    return [Announced(f"{series}.{number}", series, STUDY) for number in numbers]


@pytest.fixture
async def short(pool: asyncpg.Pool) -> None:
    """Of a series two of twelve came, of another nothing; an alert says so."""
    async with pool.acquire() as connection, connection.transaction():
        await imaging.record(connection, "imaging", [instance(FIRST, 1), instance(FIRST, 2)])
        await announcements.announce(
            connection,
            channel="imaging",
            facility="baishi",
            source=Source.MPPS,
            about="1.9",
            said_by="CT_BAISHI",
            said=[*named(FIRST, range(1, 13)), *named(SECOND, [1])],
            at=AT - timedelta(minutes=50),
        )
    await pool.execute("update study set noticed_revision = revision")
    await pool.execute("update study_state set state = 'short', since = $1, announced = 13, missing = 11", AT)
    await pool.execute(
        """
        insert into incident (id, cause, kind, subject, code, severity, since, opened_at, last_seen_at, amount, most)
        values (gen_random_uuid(), 'study-short/baishi', 'study-short', 'baishi', $2, 'warning', $1, $1, $1, 11, 11)
        """,
        AT,
        STUDY,
    )


@pytest.mark.usefixtures("short")
async def test_an_alert_leads_to_the_study_which_names_what_is_missing_until_somebody_says_it_will_not_come(
    sign_in: SignIn, pool: asyncpg.Pool
) -> None:
    page = await sign_in("admin")
    await page.clock.install()
    await page.get_by_role("link", name="告警", exact=True).click()
    await page.get_by_role("link", name="前往处理").click()
    await expect(page.locator(".verdict")).to_contain_text("已到 2 幅，还缺 11 幅")
    await expect(page.locator(".manifest")).to_have_count(2)
    came = page.locator(".manifest").first
    await expect(came).to_contain_text("2 / 12")
    await expect(came).to_contain_text(HOSTILE)
    await expect(came.locator(".uids").first).to_contain_text(f"{FIRST}.3")
    await came.get_by_text("还有 2 个").click()
    await expect(came.locator(".uids").last).to_contain_text(f"{FIRST}.12")
    await expect(page.locator(".manifest").last.locator(".uids")).to_have_text(f"{SECOND}.1")
    await expect(page.locator(".counted")).to_contain_text("MPPS")
    await expect(page.locator("tr.selected .chip")).to_have_text("缺 11 幅")
    assert await page.evaluate("window.broken") is None

    await page.get_by_role("button", name="缺的不会再来").click()
    await page.get_by_role("dialog").locator("textarea").fill("CT 上发送前已删除")
    await page.get_by_role("dialog").locator("button.primary").click()
    await is_told(page, "不再等待")
    await expect(page.locator(".standing .said")).to_contain_text("CT 上发送前已删除")
    await pool.execute("update study_state set state = 'whole', missing = 0")
    await page.get_by_role("tab", name="缺影像").click()
    await expect(page.get_by_text("没有缺影像的检查")).to_be_visible()
    await pool.execute("update study_state set state = 'short', missing = 1")
    await page.clock.fast_forward(20_000)
    await expect(page.locator("tr.selected .chip")).to_have_text("缺 1 幅")
    await expect(page.locator(".verdict")).to_contain_text("还缺 1 幅")

    await page.reload()
    await expect(page.locator(".verdict")).to_contain_text("还缺 1 幅")
    await page.keyboard.press("Escape")
    await expect(page.locator(".standing")).to_be_hidden()


async def test_a_thousand_studies_are_paged_walked_with_the_keys_and_found_by_number(
    sign_in: SignIn, pool: asyncpg.Pool
) -> None:
    page = await sign_in("admin")
    await page.get_by_role("link", name="检查完整性", exact=True).click()
    await expect(page.get_by_text("这里没有检查")).to_be_visible()
    await pool.execute(
        """
        with numbered as (select '1.2.3.' || n as uid, n, $1::timestamptz - n * interval '1 minute' as at
                          from generate_series(1, 1000) n),
             state as (insert into study_state (uid, facility, channel, state, since)
                       select uid, 'baishi', 'imaging', case when n % 100 = 0 then 'late' else 'whole' end, at
                       from numbered)
        insert into study_search select uid, 'baishi', 'P' || n, 'A' || n, '20260302', '', '{CT}', '{}', '{}',
            jsonb_build_object('patient_name', 'Patient^' || n) from numbered
        """,
        AT,
    )
    await pool.execute(
        "insert into study (uid, facility, channel, peer, first_stored_at, last_stored_at, revision, "
        "noticed_revision) select uid, facility, channel, 'CT@h:1', since, since, 1, 1 from study_state"
    )
    await page.get_by_role("tab", name="全部").click()
    rows = page.locator("tbody tr")
    for number in (200, 400, 600, 800, 1000):
        await expect(rows).to_have_count(number)
        if number < 1000:
            await page.get_by_role("button", name="更多").click()
    await page.locator("body").click(position={"x": 5, "y": 760})
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator("tr.selected")).to_contain_text("Patient 2")
    await expect(page.locator(".standing h2")).to_contain_text("Patient 2")
    await page.keyboard.press("/")
    await page.keyboard.type("A777")
    await page.keyboard.press("Enter")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("P777")
    await page.get_by_role("searchbox").fill("nobody")
    await page.get_by_role("button", name="查找").click()
    await expect(page.get_by_text("没有符合条件的检查")).to_be_visible()
    await page.evaluate("place => { location.hash = `#/studies/nowhere/${place}`; }", HOSTILE)
    await expect(page.locator(".standing")).to_contain_text("没有这个检查")
    assert await page.evaluate("window.broken") is None
