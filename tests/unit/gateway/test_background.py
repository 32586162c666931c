"""What goes on beside the rest goes on after anything that happens to it, and says so."""

from __future__ import annotations

import asyncio

import pytest

from pacs_gateway import background
from pacs_gateway.background import Background, keep_on


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "AGAIN_SECS", 0.0)


async def test_what_breaks_begins_anew_and_is_told_without_what_it_was_about(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[int] = []
    third = asyncio.Event()
    said = "ZHANG^SAN"

    async def work() -> None:
        tries.append(len(tries))
        if len(tries) < 3:
            raise ValueError(said)
        third.set()
        await asyncio.Event().wait()

    part = Background("dicom shelver")
    part.start(work)
    async with asyncio.timeout(60):
        await third.wait()
    await part.close()
    assert tries == [0, 1, 2]
    assert caplog.text.count("dicom shelver begins anew: ValueError") == 2
    assert "ZHANG" not in caplog.text


async def test_what_comes_to_its_end_is_not_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[int] = []

    async def work() -> None:
        tries.append(0)

    async with asyncio.timeout(60):
        await keep_on("dicom shelver", work)
    assert (tries, caplog.text) == ([0], "")


async def test_what_is_closed_stays_so() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    part = Background("dicom shelver")
    await part.close()
    part.start(work)
    async with asyncio.timeout(60):
        await began.wait()
    await part.close()
    await part.close()
    assert ended.is_set()
