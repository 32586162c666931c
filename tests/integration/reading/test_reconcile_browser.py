"""A person sees in a real browser what objects and order say, and decides whose a study is with one click."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest
from playwright.async_api import Page, expect

from engine.store import imaging, reconcile_cases, worklist
from engine.store.instances import Instance
from engine.store.reconcile_cases import StudyKey
from engine.store.worklist import Step
from engine.studies import study_id
from tests.integration.reading.browsing import SignIn, is_told

HOSTILE = "<img src=x onerror=window.broken=1>"
AT = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
STEP = Step(
    service_request="order-1",
    facility="baishi",
    accession="ACC1",
    study_uid="2.25.77",
    patient_id="BS0001",
    issuer="",
    patient_name="石^秀英",
    patient_name_latin="Shi^Xiuying",
    birth_on=date(1963, 5, 12),
    sex="F",
    modality="DX",
    station_ae="",
    procedure_code="DR-CHEST-PA",
    procedure_text="胸部正位DR",
    body_part="胸",
    requested_by="周大夫",
    placer="O1",
    scheduled_at=AT,
    state="scheduled",
)


def one(number: int, series: str, sha: int, **tags: str) -> Instance:
    said = {"patient_id": "BS0001", "patient_name": f"Shi^Xiuying={HOSTILE}", "birth_date": "19630521", "sex": "F"}
    said |= {"accession": "ACC7", "study_date": "20260302", "study_time": "163000", "modality": "DX", **tags}
    return Instance(
        sop_uid=f"1.2.3.{number}",
        facility="baishi",
        sha256=bytes([sha]) * 32,
        study_uid="1.2.3",
        series_uid=series,
        sop_class="1.2.840.10008.5.1.4.1.1.1.1",
        transfer_syntax="1.2.840.10008.1.2.1",
        modality="DX",
        number=number,
        bytes=100,
        location=f"baishi/1.2.3/{sha}.dcm",
        tags=json.dumps(said, ensure_ascii=False),
        charset=json.dumps({"declared": "ISO_IR 192", "used": "utf-8", "doubtful": False, "findings": {}}),
        peer="DR_BAISHI@10.0.0.7:1234",
        stored_at=AT - timedelta(hours=1),
    )


@pytest.fixture
async def queue(pool: asyncpg.Pool) -> None:
    """A study under a wrong accession number, with a second series of somebody else and a UID that was used twice."""
    other = {"patient_id": "BS0002", "patient_name": "Wang^Fang=王^芳", "series_description": "侧位"}
    objects = [one(1, "1.2.3.8", 1), one(2, "1.2.3.9", 2, **other), one(1, "1.2.3.8", 3)]
    kinds = {"study-without-order", "patient-id-differs", "sop-uid-conflict"}
    async with pool.acquire() as connection, connection.transaction():
        await imaging.record(connection, "imaging", objects)
        await worklist.put(connection, [STEP])
        key = StudyKey("baishi", "1.2.3", f"ImagingStudy/{study_id('baishi', '1.2.3')}")
        await reconcile_cases.put(connection, {key: kinds}, AT)


async def opened(sign_in: SignIn) -> Page:
    page = await sign_in("admin")
    await page.get_by_role("link", name="影像核对", exact=True).click()
    await page.locator(".case").click()
    await expect(page.locator(".compared")).to_be_visible()
    return page


async def answered(page: Page, reason: str) -> None:
    await page.get_by_role("dialog").locator("textarea").fill(reason)
    await page.get_by_role("dialog").locator("button.primary").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.usefixtures("queue")
async def test_differences_are_marked_and_a_likely_order_is_taken_with_one_click(
    sign_in: SignIn, pool: asyncpg.Pool
) -> None:
    page = await opened(sign_in)
    await expect(page.locator(".case .chip")).to_have_text(["两个患者号", "影像号重复", "检查号无对应申请"])
    differing = page.locator(".compared tr.differs th")
    await expect(differing).to_have_text(["姓名", "患者号"])
    await expect(page.locator(".compared")).to_contain_text(HOSTILE)
    await expect(page.locator(".proposal").first).to_contain_text("石^秀英")
    await expect(page.locator(".proposal").first).to_contain_text("患者号相同")
    await page.get_by_role("button", name="归到此申请").click()
    await answered(page, "与放射科电话核对")
    await expect(page.locator(".said")).to_contain_text("与放射科电话核对")
    await expect(page.locator(".compared thead")).to_contain_text("申请 ACC1")
    said = await pool.fetchrow("select kind, actor, reason from study_statement")
    assert tuple(said) == ("assign", "admin", "与放射科电话核对")
    assert await page.evaluate("window.broken") is None

    await page.get_by_role("button", name="撤销").click()
    await answered(page, "看错了")
    await expect(page.locator(".said.undone")).to_contain_text("看错了")


@pytest.mark.usefixtures("queue")
async def test_a_series_is_split_off_and_another_content_is_kept(sign_in: SignIn, pool: asyncpg.Pool) -> None:
    page = await opened(sign_in)
    await page.get_by_role("button", name="两个都要").click()
    await answered(page, "是另一张片子")
    await expect(page.get_by_role("button", name="两个都要")).to_have_count(0)
    await page.locator(".series", has_text="王^芳").locator("input").check()
    await page.get_by_role("button", name="拆成新的检查").click()
    await answered(page, "两个人拍在一起")
    await expect(page.locator(".said")).to_have_count(2)
    kinds = await pool.fetch("select kind from study_statement order by id")
    assert [row["kind"] for row in kinds] == ["keep", "split"]


@pytest.mark.usefixtures("queue")
async def test_single_images_are_rejected_for_a_reason_that_is_chosen_and_come_back_after_a_reload_and_a_search(
    sign_in: SignIn, pool: asyncpg.Pool
) -> None:
    page = await opened(sign_in)
    await page.locator(".series", has_text=HOSTILE).get_by_role("button", name="展开").click()
    await expect(page.locator(".tile img")).to_have_count(1)
    await page.get_by_label("选择第 1 幅").check()
    await expect(page.locator(".chosen-count")).to_have_text("已选 1 个影像")
    await page.get_by_role("button", name="作废所选").click()
    await page.get_by_role("dialog").locator("textarea").fill("左右标反")
    await page.get_by_role("dialog").locator("button.primary").click()
    await expect(page.get_by_text("请选择为什么作废")).to_be_visible()
    await page.get_by_label("患者安全").check()
    await answered(page, "左右标反")
    await expect(page.locator(".said")).to_contain_text("左右标反")
    said = await pool.fetchrow("select kind, said ->> 'code', said -> 'instances' from study_statement")
    assert (said[0], said[1], json.loads(said[2])) == ("reject", "113037", ["1.2.3.1"])

    await page.reload()
    await expect(page.locator(".said")).to_contain_text("左右标反")
    await page.get_by_role("link", name="投递", exact=True).click()
    await page.get_by_role("link", name="影像核对", exact=True).click()
    await page.get_by_role("searchbox").fill("9.9.9")
    await page.get_by_role("searchbox").press("Enter")
    await expect(page.locator(".case-list .empty")).to_contain_text("没有找到")
    await page.get_by_role("searchbox").fill("1.2.3")
    await page.get_by_role("searchbox").press("Enter")
    await expect(page.locator(".said")).to_contain_text("患者安全")
    await page.get_by_role("button", name="撤销").click()
    await answered(page, "标记是对的")
    await expect(page.locator(".said.undone")).to_contain_text("标记是对的")
    await page.get_by_role("tab", name="近期决定").click()
    await expect(page.locator(".case")).to_contain_text(HOSTILE)
    assert await page.evaluate("window.broken") is None


@pytest.mark.usefixtures("queue")
async def test_a_study_that_does_not_wait_is_found_by_name_split_and_rejected_whole(
    sign_in: SignIn, pool: asyncpg.Pool
) -> None:
    await pool.execute("delete from reconcile_case")
    page = await sign_in("admin")
    await page.get_by_role("link", name="影像核对", exact=True).click()
    await expect(page.locator(".case-list .empty")).to_contain_text("没有需要核对的影像检查")
    await page.keyboard.press("/")
    await page.keyboard.type("wangfang")
    await page.keyboard.press("Enter")
    await page.locator(".series", has_text="王^芳").get_by_role("button", name="展开").click()
    await page.get_by_label("选择第 2 幅").check()
    await page.get_by_role("button", name="拆成新的检查").click()
    await page.get_by_label("属于哪个检查号").fill("ACC1")
    await answered(page, "另一位患者")
    await expect(page.locator(".series")).to_have_count(1)
    said = await pool.fetchrow("select kind, said -> 'instances', said ->> 'order' from study_statement")
    assert (said[0], json.loads(said[1]), said[2]) == ("split", ["1.2.3.2"], "order-1")

    await page.get_by_role("button", name="作废整个检查").click()
    await page.get_by_label("图像质量不合格").check()
    await answered(page, "全部重拍")
    await expect(page.locator(".banner.bad")).to_contain_text("没有影像可查可取")
    await expect(page.locator(".case").first).to_contain_text("已全部作废")
    undo = page.get_by_role("button", name="撤销")
    await expect(undo.first).to_be_disabled()
    await undo.last.click()
    await answered(page, "没有重拍")
    await expect(page.locator(".series")).to_have_count(1)


@pytest.mark.usefixtures("queue")
async def test_a_narrow_window_shows_cases_above_what_they_are(sign_in: SignIn) -> None:
    page = await opened(sign_in)
    await page.set_viewport_size({"width": 420, "height": 900})
    await page.wait_for_function("window.innerWidth === 420")
    widths = await page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1], "nothing has to be scrolled sideways"
    below, above = await page.evaluate(
        "(() => { const [list, detail] = document.querySelector('.reconcile-frame').children;"
        " return [detail.offsetTop, list.offsetTop + list.offsetHeight]; })()"
    )
    assert below >= above


async def test_somebody_else_decides_first_and_one_is_told_to_look_again(
    sign_in: SignIn, pool: asyncpg.Pool, queue: None
) -> None:
    page = await opened(sign_in)
    await pool.execute("update study set revision = revision + 1")
    await page.get_by_role("button", name="归到此申请").click()
    await answered(page, "核对过")
    await is_told(page, "这个检查刚有变化")
    assert await pool.fetchval("select count(*) from study_statement") == 0
