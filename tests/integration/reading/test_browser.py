"""A reader and a reviewer work in a real browser, against the application and a real database."""

from __future__ import annotations

import re

import asyncpg
import pytest
from playwright.async_api import Browser, Page, expect

from engine import centres
from engine.api.services import Services
from engine.finding import Finding, Severity
from engine.store import findings, records
from engine.store.findings import Raised
from engine.store.records import Change
from tests.integration.faults.serving import until
from tests.integration.reading.browsing import Pictures, SignIn, is_told
from tests.integration.reading.conftest import CONCLUSION, NOW, OBSERVED, Arrive, Examination

HOSTILE = '<img src=x onerror="window.broken=1">赵<script>window.broken=1</script>\'"&amp;'


async def write_report(page: Page, observed: str = OBSERVED, conclusion: str = CONCLUSION) -> None:
    await page.get_by_label("检查所见").fill(observed)
    await page.get_by_label("诊断意见").fill(conclusion)
    await expect(page.locator(".saved.good")).to_be_visible()


async def test_an_examination_is_claimed_written_reviewed_signed_and_returned(
    sign_in: SignIn, arrive: Arrive, pool: asyncpg.Pool, pictures: Pictures
) -> None:
    request = await arrive(Examination(name=HOSTILE))
    wang, li = await sign_in("wang"), await sign_in("li")

    await expect(wang.locator("td.c-patient b")).to_have_text(HOSTILE)
    await wang.get_by_role("button", name="领取").click()
    await expect(wang.locator(".patient-strip .name")).to_have_text(HOSTILE)
    await expect(wang.locator("img.picture")).to_be_visible()
    await write_report(wang)
    await wang.get_by_role("button", name="提交审核").click()
    await wang.get_by_role("dialog").get_by_role("button", name="提交审核").click()
    await expect(wang.locator(".patient-strip .chip")).to_have_text("待审核")
    await expect(wang.get_by_text("您是本报告的书写医师")).to_be_visible()
    await expect(wang.locator(".actions button")).to_have_count(0)

    await li.locator(".filter[data-state=preliminary]").click()
    await li.get_by_role("button", name="打开").click()
    await expect(li.get_by_label("检查所见")).to_have_value(OBSERVED)
    await expect(li.get_by_label("检查所见")).not_to_be_editable()
    await li.get_by_role("button", name="审核通过").click()
    await li.get_by_role("button", name="签发报告").click()
    await expect(li.get_by_text("立即发回 白石乡卫生院")).to_be_visible()
    await li.get_by_role("dialog").get_by_role("button", name="签发报告").click()
    await expect(li.locator(".patient-strip .chip")).to_have_text("待回传")
    assert await pool.fetchval("select count(*) from delivery where endpoint = 'baishi-his'") == 1

    async with pool.acquire() as connection, connection.transaction():
        task = await records.read(connection, "Task", request)
        assert task is not None
        await records.put_many(connection, [Change(centres.returned(task.body, NOW))], NOW)
    await expect(li.locator(".patient-strip .chip")).to_have_text("已回传")
    await is_told(li, "已确认收到报告")

    for page in (wang, li):
        assert await page.evaluate("window.broken") is None
    await until("both are asked for", lambda: len(set(pictures.asked)) == 2)
    assert set(pictures.asked) == {f"{Examination().study_uid}.1.1", f"{Examination().study_uid}.1.2"}


async def test_choosing_a_list_again_keeps_it(sign_in: SignIn, waiting: str) -> None:
    page = await sign_in("wang")
    row = page.locator("tr[data-request]")
    await expect(row).to_have_count(1)

    for _ in range(3):
        async with page.expect_response(lambda answer: "/api/requests?" in answer.url):
            await page.locator(".filter[data-state=open]").click()
    await expect(row).to_have_count(1)

    await page.locator(".filter[data-state=returned]").click()
    await expect(row).to_have_count(0)
    await page.locator(".filter[data-state=open]").click()
    await expect(row).to_have_count(1)


async def test_picture_and_report_fill_the_window(sign_in: SignIn, waiting: str) -> None:
    page = await sign_in("wang")
    await page.locator("tr[data-request]").dblclick()
    await expect(page.locator("img.picture")).to_be_visible()
    width = await page.evaluate("document.documentElement.clientWidth")
    for part in (".patient-strip", ".case-body"):
        box = await page.locator(part).bounding_box()
        assert box is not None
        assert (box["x"], box["width"]) == (0, width)


async def test_a_report_can_be_written_without_a_mouse(sign_in: SignIn, arrive: Arrive, pool: asyncpg.Pool) -> None:
    await arrive(Examination(placer="BS1"))
    second = await arrive(Examination(placer="BS2"))
    page = await sign_in("wang")
    await expect(page.locator("tbody tr")).to_have_count(2)
    order = await page.locator("tbody tr").evaluate_all("rows => rows.map(row => row.dataset.request)")
    if order.index(second) == 1:
        await page.keyboard.press("ArrowDown")
    await page.keyboard.press("c")
    await expect(page.get_by_label("检查所见")).to_be_editable()
    await page.keyboard.press("e")
    await page.keyboard.type("双肺清。")
    await page.keyboard.press("Tab")
    await page.keyboard.type("未见异常。")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page.locator(".patient-strip .chip")).to_have_text("待审核")
    await page.keyboard.press("Escape")
    await expect(page.locator(".worklist")).to_be_visible()
    conclusion = await pool.fetchval("select body->>'conclusion' from resource where type = 'DiagnosticReport'")
    assert conclusion == "未见异常。"
    assert await pool.fetchval("select body->'focus'->>'reference' from resource where id = $1", second) == (
        f"ServiceRequest/{Examination(placer='BS2').order_id}"
    )


async def test_what_was_typed_is_kept_over_a_reload(sign_in: SignIn, waiting: str) -> None:
    page = await sign_in("wang")
    await page.get_by_role("button", name="领取").click()
    await write_report(page)
    await page.reload()
    await expect(page.get_by_label("检查所见")).to_have_value(OBSERVED)
    await expect(page.get_by_label("诊断意见")).to_have_value(CONCLUSION)


async def test_two_windows_of_one_reader_do_not_overwrite_each_other(sign_in: SignIn, waiting: str) -> None:
    first, second = await sign_in("wang"), await sign_in("wang")
    await first.get_by_role("button", name="领取").click()
    await second.locator("tbody").get_by_role("button", name="打开").click()
    await expect(second.get_by_label("检查所见")).to_be_editable()
    await second.route("**/api/requests/*", lambda route: route.abort())  # it hears nothing of what the first writes
    await write_report(first)
    await second.get_by_label("诊断意见").fill("另一个意见")
    await expect(second.get_by_text("草稿已在另一个窗口修改")).to_be_visible()
    await second.unroute("**/api/requests/*")
    await second.get_by_role("button", name="载入最新内容").click()
    await expect(second.get_by_label("诊断意见")).to_have_value(CONCLUSION)


async def test_a_reviewer_sends_back_with_a_comment_that_the_writer_reads(sign_in: SignIn, waiting: str) -> None:
    wang, li = await sign_in("wang"), await sign_in("li")
    await wang.get_by_role("button", name="领取").click()
    await write_report(wang)
    await wang.keyboard.press("Control+Enter")
    await wang.get_by_role("dialog").get_by_role("button", name="提交审核").click()
    await expect(wang.locator(".patient-strip .chip")).to_have_text("待审核")
    await li.locator("tbody").get_by_role("button", name="打开").click()
    await li.get_by_role("button", name="退回修改").click()
    dialog = li.get_by_role("dialog")
    await dialog.get_by_role("button", name="退回修改").click()
    await expect(dialog.get_by_text("退回时必须写明")).to_be_visible()
    await dialog.get_by_label("请写明需要修改的内容").fill("请描述心影")
    await dialog.get_by_role("button", name="退回修改").click()
    await expect(wang.get_by_text("李审核 退回修改：请描述心影")).to_be_visible()
    await expect(wang.get_by_label("检查所见")).to_be_editable()


async def test_losing_the_race_for_a_request_is_told_with_what_to_do(sign_in: SignIn, waiting: str) -> None:
    wang, li = await sign_in("wang"), await sign_in("li")
    claim = li.get_by_role("button", name="领取")
    await expect(claim).to_be_visible()
    await li.route("**/api/requests?*", lambda route: route.abort())  # li's list stays as it was
    await wang.get_by_role("button", name="领取").click()
    await expect(wang.get_by_label("检查所见")).to_be_editable()
    await claim.click()
    await is_told(li, "刚被其他医师领取。请返回列表选择下一份。")


async def test_an_incomplete_report_is_not_submitted(sign_in: SignIn, waiting: str) -> None:
    page = await sign_in("wang")
    await page.get_by_role("button", name="领取").click()
    await page.get_by_label("检查所见").fill("双肺清。")
    await page.get_by_role("button", name="提交审核").click()
    await is_told(page, "都写完再提交")
    await expect(page.get_by_label("诊断意见")).to_be_focused()


async def test_a_picture_that_failed_comes_with_a_retry(sign_in: SignIn, waiting: str, pictures: Pictures) -> None:
    pictures.failing = True
    page = await sign_in("wang")
    await page.get_by_role("button", name="领取").click()
    await expect(page.get_by_text("图像载入失败")).to_be_visible()
    pictures.failing = False
    await page.get_by_role("button", name="重试").click()
    await expect(page.locator("img.picture")).to_be_visible()


@pytest.mark.parametrize(("status", "code"), [(406, "not-renderable"), (500, "decoder-died")])
async def test_a_picture_that_cannot_be_shown_is_said_to_be_so_without_a_retry(
    sign_in: SignIn, waiting: str, status: int, code: str
) -> None:
    page = await sign_in("wang")
    await page.route(
        "**/rendered*",
        lambda route: route.fulfill(
            status=status, content_type="application/problem+json", body=f'{{"code": "{code}"}}'
        ),
    )
    await page.get_by_role("button", name="领取").click()
    await expect(page.get_by_text("这幅图像无法显示")).to_be_visible()
    await expect(page.get_by_role("button", name="重试")).to_have_count(0)


async def test_a_picture_can_be_windowed_moved_and_put_back(sign_in: SignIn, waiting: str) -> None:
    page = await sign_in("wang")
    await page.get_by_role("button", name="领取").click()
    picture, stage = page.locator("img.picture"), page.locator(".stage")
    await expect(picture).to_be_visible()
    before = await picture.get_attribute("style")
    box = await stage.bounding_box()
    assert box is not None
    for tool in ("调窗", "平移", "缩放"):
        await page.get_by_role("button", name=tool).click()
        await page.mouse.move(box["x"] + 300, box["y"] + 300)
        await page.mouse.down()
        await page.mouse.move(box["x"] + 380, box["y"] + 250)
        await page.mouse.up()
        await expect(picture).not_to_have_attribute("style", before or "")
        await page.get_by_role("button", name="复位").click()
        await expect(picture).to_have_attribute("style", before or "")


async def test_a_wrong_token_is_refused_in_plain_words(browser: Browser, address: str) -> None:
    page = await browser.new_page()
    await page.goto(address)
    await page.get_by_label("访问令牌").fill("<b>not a token</b>")
    await page.get_by_role("button", name="登录").click()
    await expect(page.get_by_role("alert")).to_contain_text("没有令牌请联系信息科")


async def test_a_finding_is_told_in_chinese_with_the_sentence_of_the_hub_below(
    sign_in: SignIn, pool: asyncpg.Pool
) -> None:
    told = [Finding("no-mapping", "No mapping for SIU^S12.", Severity.ERROR), Finding("another-code", HOSTILE)]
    async with pool.acquire() as connection:
        await findings.raise_many(connection, [Raised(each, about="Envelope/1") for each in told], NOW)
    page = await sign_in("wang")
    await page.get_by_text("待处理事项").click()
    await expect(page.get_by_text("没有映射处理这类报文，已原样保存")).to_be_visible()
    await expect(page.get_by_text("No mapping for SIU^S12.")).to_be_visible()
    await expect(page.get_by_text(HOSTILE)).to_be_visible()
    await page.get_by_role("button", name="English").click()
    await expect(page.get_by_text("No mapping for SIU^S12.")).to_be_visible()
    await expect(page.get_by_text("没有映射处理这类报文，已原样保存")).to_have_count(0)


async def test_what_is_noted_for_the_record_does_not_hide_what_a_person_should_settle(
    sign_in: SignIn, pool: asyncpg.Pool
) -> None:
    noise = [
        Raised(Finding("time-format", f"odd date {n}", Severity.INFORMATION), about="Envelope/1") for n in range(150)
    ]
    told = Raised(Finding("no-mapping", "No mapping for SIU^S12.", Severity.ERROR), about="Envelope/1")
    async with pool.acquire() as connection:
        await findings.raise_many(connection, [told, *noise], NOW)
    page = await sign_in("wang")
    await page.get_by_text("待处理事项").click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.get_by_text("No mapping for SIU^S12.")).to_be_visible()
    await page.get_by_role("tab", name="仅供记录").click()
    await expect(page.locator("tbody tr")).to_have_count(100)
    await page.get_by_role("button", name="更多").click()
    await expect(page.locator("tbody tr")).to_have_count(150)


async def test_the_page_speaks_english_as_well(sign_in: SignIn, waiting: str, services: Services) -> None:
    page = await sign_in("wang")
    await page.get_by_role("button", name="English").click()
    await expect(page.get_by_role("button", name="Claim")).to_be_visible()
    await page.get_by_role("button", name="Claim").click()
    await expect(page.get_by_label("Impression")).to_be_editable()
    shown = (await page.locator("body").inner_text()).replace("中文", "")
    names = [facility.name for facility in services.config.facilities.values()]
    for name in ("赵小燕", "胸部正位DR", "青溪县医学影像中心", "咳嗽、发热 3 天", "何医生", "王影像", *names):
        shown = shown.replace(name, "")
    assert re.findall(r"[一-鿿]+", shown.replace(services.config.name, "")) == []


async def test_a_reader_sees_that_images_are_missing_and_reads_all_the_same(
    sign_in: SignIn, arrive: Arrive, pool: asyncpg.Pool
) -> None:
    examination = Examination()
    await arrive(examination)
    await pool.execute(
        """
        insert into study_state (uid, facility, channel, state, since, missing, missing_uids)
        values ($1, 'baishi', 'imaging', 'short', now(), 3, '{2.25.9}')
        """,
        examination.study_uid,
    )
    wang = await sign_in("wang")
    await expect(wang.locator("td.c-images .chip")).to_have_text("缺 3 幅")
    await wang.get_by_role("button", name="领取").click()
    await expect(wang.locator(".patient-strip .complete-short")).to_have_text("缺 3 幅")
    await expect(wang.locator("img.picture")).to_be_visible()
