"""Hospital IT sees in a real browser what happened to a message, and does something about one that is held."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest
from playwright.async_api import Page, expect

from engine.api.services import Services
from engine.clock import now
from engine.envelope import EnvelopeIds
from engine.intake import JournalIntake
from engine.pipeline import Pipeline
from tests.integration.reading.browsing import SignIn

HOSTILE = "<img src=x onerror=window.broken=1>"
AT = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
RESULT = (
    "MSH|^~\\&|LIS|QXXRMYY|HUTONG|HUB|20260302083000||ORU^R01|{id}|P|2.4\r"
    "PID|1||C77^^^HIS^MR||李^四||19800229|F\rORC|RE|{id}|F{id}\r"
    "OBR|1|{id}|F{id}|GLU^葡萄糖^L|||20260302080000||||||||||||||20260302082500||CH|F\r"
    "OBX|1|NM|{code}||5.10|mmol/L|3.90-6.10|N|||F|||20260302081500\r"
)


class Sender:
    def __init__(self, intake: JournalIntake, pipeline: Pipeline, pool: asyncpg.Pool) -> None:
        self._intake, self._pipeline, self._pool = intake, pipeline, pool

    async def send(self, payload: str) -> None:
        """Returns when it has been processed, or held."""
        done: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._intake.submit("county-lis", "10.0.0.1:40000", payload.encode(), done.set_result)
        assert await asyncio.wait_for(done, 60) is not None
        await self.run()

    async def run(self) -> None:
        async with self._pool.acquire() as connection:
            while await self._pipeline.run_batch(connection):
                pass


@pytest.fixture
async def sender(services: Services, database_url: str, pool: asyncpg.Pool) -> AsyncIterator[Sender]:
    ids = EnvelopeIds(secrets.randbits)
    intake = JournalIntake(database_url, {c.name: c for c in services.config.hl7_channels}, now, ids)
    await intake.start()
    yield Sender(intake, Pipeline(database_url, services.config, services.mapping_set, now, ids), pool)
    await intake.close()


async def open_tab(page: Page, name: str) -> None:
    await page.get_by_role("link", name=name, exact=True).click()


async def test_the_walk_of_a_message_is_a_picture_and_every_element_tells_where_it_came_from(
    sign_in: SignIn, sender: Sender
) -> None:
    await sender.send(RESULT.format(id="L0001", code="GLU^葡萄糖^L"))
    page = await sign_in("admin")
    await open_tab(page, "追踪")
    await page.get_by_role("searchbox").fill("L0001")
    await page.get_by_role("button", name="追踪").click()

    await expect(page.locator(".walk-step.done b")).to_have_text(["收到", "落盘", "应答", "映射", "入库"])
    await expect(page.locator(".segments li").nth(1)).to_contain_text("李^四")
    await page.locator(".envelope .record", has_text="Observation").locator("summary").click()
    value = page.locator(".origin-table tr", has_text="valueQuantity.value")
    await expect(value.locator("td")).to_contain_text(["valueQuantity.value", "5.10", "obx-5", "OBX-5[1]"])
    await value.hover()
    await expect(page.locator(".segments li.pointed")).to_contain_text("5.10")


async def test_a_name_that_is_markup_is_text_in_a_trace_and_in_where_its_elements_came_from(
    sign_in: SignIn, sender: Sender
) -> None:
    await sender.send(RESULT.format(id="L0009", code="GLU^葡萄糖^L").replace("李^四", HOSTILE))
    page = await sign_in("admin")
    await open_tab(page, "追踪")
    await page.get_by_role("searchbox").fill("L0009")
    await page.get_by_role("button", name="追踪").click()
    await expect(page.locator(".segments li").nth(1)).to_contain_text(HOSTILE)
    await page.locator(".envelope .record", has_text="Patient").locator("summary").first.click()
    await expect(page.locator(".origin-table").first).to_contain_text(HOSTILE)
    assert await page.evaluate("window.broken") is None


async def test_a_held_message_says_why_and_is_skipped_with_a_reason(
    sign_in: SignIn, sender: Sender, pool: asyncpg.Pool
) -> None:
    await sender.send(RESULT.format(id="L0002", code="^^"))
    page = await sign_in("admin")
    await open_tab(page, "滞留报文")
    row = page.locator("tbody tr")
    await expect(row).to_contain_text("L0002")
    await expect(row.locator(".chip.place")).to_contain_text("OBX")

    await row.get_by_role("button", name="跳过").click()
    await page.get_by_role("dialog").get_by_role("button", name="跳过").click()
    await expect(page.get_by_role("dialog").get_by_text("请写明原因")).to_be_visible()
    await page.get_by_role("dialog").get_by_role("textbox").fill("检验科已重发")
    await page.get_by_role("dialog").get_by_role("button", name="跳过").click()
    await expect(page.get_by_text("没有滞留的报文")).to_be_visible()
    assert await pool.fetchval("select detail->>'reason' from audit where action = 'skip'") == "检验科已重发"

    await open_tab(page, "追踪")
    await page.get_by_role("searchbox").fill("L0002")
    await page.get_by_role("button", name="追踪").click()
    await expect(page.locator(".said.act b")).to_have_text("跳过")
    await expect(page.locator(".said.act")).to_contain_text("检验科已重发")


async def test_a_released_message_that_still_cannot_be_understood_comes_back(sign_in: SignIn, sender: Sender) -> None:
    await sender.send(RESULT.format(id="L0003", code="^^"))
    page = await sign_in("admin")
    await open_tab(page, "滞留报文")
    await page.get_by_role("button", name="重新处理").click()
    await page.get_by_role("dialog").get_by_role("textbox").fill("映射已修改")
    await page.get_by_role("dialog").get_by_role("button", name="重新处理").click()
    await expect(page.get_by_text("没有滞留的报文")).to_be_visible()
    await sender.run()
    await page.reload()
    await expect(page.locator("tbody tr")).to_contain_text("L0003")


async def test_a_refused_delivery_is_sent_again(sign_in: SignIn, pool: asyncpg.Pool) -> None:
    delivery = UUID("01a20054-98b7-7000-b987-7cce31d5b3ee")
    await pool.execute(
        """
        insert into delivery (id, endpoint, control_id, payload, state, attempts, next_attempt_at, created_at, route,
                              last_error)
        values ($1, 'baishi-his', $3, 'x', 'refused', 3, $2, $2, 'reports', 'refused')
        """,
        delivery,
        AT,
        HOSTILE,
    )
    page = await sign_in("admin")
    await open_tab(page, "投递")
    await expect(page.locator(".card.bad")).to_contain_text("对方拒收 1")
    await page.get_by_role("tab", name="对方拒收").click()
    await expect(page.locator("tbody tr")).to_contain_text(HOSTILE)
    await page.get_by_role("button", name="重新投递").click()
    await page.get_by_role("dialog").get_by_role("textbox").fill("对方已修复")
    await page.get_by_role("dialog").get_by_role("button", name="重新投递").click()
    await expect(page.get_by_text("没有符合条件的投递")).to_be_visible()
    assert await pool.fetchval("select state from delivery where id = $1", delivery) == "owed"
    assert await page.evaluate("window.broken") is None


async def test_who_does_not_run_the_hub_sees_no_console(sign_in: SignIn) -> None:
    page = await sign_in("wang")
    await expect(page.get_by_role("link", name="待处理事项")).to_be_visible()
    await expect(page.get_by_role("link", name="滞留报文")).to_have_count(0)
    await expect(page.get_by_role("link", name="追踪")).to_have_count(0)


async def test_an_alert_is_one_line_that_somebody_takes_on(sign_in: SignIn, pool: asyncpg.Pool) -> None:
    await pool.execute(
        """
        insert into incident (id, cause, kind, subject, code, severity, since, opened_at, last_seen_at, amount, most)
        values (gen_random_uuid(), 'endpoint-away baishi-his', 'endpoint-away', 'baishi-his', 'unreachable', 'error',
                $1, $1, $1, 3, 3)
        """,
        AT,
    )
    page = await sign_in("admin")
    await open_tab(page, "告警")
    await expect(page.locator(".incident.severity-error")).to_contain_text("baishi-his")
    await page.get_by_role("button", name="我来处理").click()
    await page.get_by_role("dialog").get_by_role("textbox").fill("已联系乡卫生院")
    await page.get_by_role("dialog").get_by_role("button", name="我来处理").click()
    await expect(page.locator(".incident-who")).to_contain_text("已联系乡卫生院")
    await page.get_by_role("link", name="前往处理").click()
    await expect(page.locator(".deliveries")).to_be_visible()
