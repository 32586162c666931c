"""How is the page opened in a real browser? Chromium against the application, a real database and pictures."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi import APIRouter, Response
from granian.constants import Interfaces
from granian.server.embed import Server
from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect

from engine.api.app import create_app
from engine.api.reading import routers
from engine.api.services import Services
from web import static_folder

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_SECS = 90.0
"""The page asks the hub every few seconds, and a browser on a machine that does much else takes its time."""
expect.set_options(timeout=PATIENCE_SECS * 1000)

REMEMBERED = """
window.told = [];
new MutationObserver((changes) => {
  for (const change of changes)
    for (const added of change.addedNodes) if (added.classList?.contains("notice")) window.told.push(added.textContent);
}).observe(document, { childList: true, subtree: true });
"""
"""A notice stays for some seconds only: what it said is kept for whoever looks later."""

TokenOf = Callable[[str], Awaitable[str]]
SignIn = Callable[[str], Awaitable[Page]]


@dataclass
class Pictures:
    """Stands for the gateway: answers every picture alike, or refuses as long as it is told to."""

    failing: bool = False
    asked: list[str] = field(default_factory=list)

    def router(self) -> APIRouter:
        router = APIRouter()

        @router.get("/dicomweb/studies/{study}/series/{series}/thumbnail")
        @router.get("/dicomweb/studies/{study}/series/{series}/instances/{instance}/thumbnail")
        @router.get("/dicomweb/studies/{study}/series/{series}/instances/{instance}/rendered")
        async def rendered(study: str, series: str, instance: str = "") -> Response:
            self.asked.append(instance or series)
            if self.failing:
                return Response(status_code=503)
            png = io.BytesIO()
            Image.radial_gradient("L").save(png, "PNG")
            return Response(png.getvalue(), media_type="image/png")

        return router


@pytest.fixture
def pictures() -> Pictures:
    return Pictures()


@pytest.fixture
async def address(services: Services, pictures: Pictures, free_port: int) -> AsyncIterator[str]:
    app = create_app(services, [*routers, pictures.router()], static_folder=static_folder())
    server = Server(app, "127.0.0.1", free_port, interface=Interfaces.ASGINL, websockets=False, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(PATIENCE_SECS):
        while not await _listens(free_port):
            assert not serving.done()
    yield f"http://127.0.0.1:{free_port}"
    server.stop()  # type: ignore[no-untyped-call]  # granian's own
    await serving


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0.02)  # yields to the server that starts in this very loop
        return False
    writer.close()
    return True


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        # Containers and root have no user namespaces to build Chromium's sandbox from.
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE_SECS * 1000
        )
        yield browser
        await browser.close()


@pytest.fixture
async def sign_in(browser: Browser, address: str, token_of: TokenOf) -> AsyncIterator[SignIn]:
    """A page where a user has pasted the token. Whatever the page's console complains of fails the test."""
    complaints: list[str] = []

    async def signed_in(user: str) -> Page:
        context = await browser.new_context(viewport={"width": 1600, "height": 900}, locale="zh-CN")
        await context.add_init_script(REMEMBERED)
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_SECS * 1000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        await page.goto(address)
        await page.get_by_label("访问令牌").fill(await token_of(user))
        await page.get_by_role("button", name="登录").click()
        await expect(page.locator(".worklist")).to_be_visible()
        return page

    yield signed_in

    # A refusal or a lost connection is something the page handles; Chromium lists it all the same.
    assert [c for c in complaints if not c.startswith("Failed to load resource")] == []


async def is_told(page: Page, words: str) -> None:
    """Waits until a notice with these words has been shown, whether or not it still is."""
    await page.wait_for_function("words => window.told.some((each) => each.includes(words))", arg=words)
