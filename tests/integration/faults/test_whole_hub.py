"""Every part of a hub comes back where it was; and when the hub itself is killed, nothing of it stays."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.integration.faults.community import community
from tests.integration.faults.load import Load, every_message_is_journaled_once, every_message_is_processed_once
from tests.integration.faults.objects import IMAGING, made_objects
from tests.integration.faults.serving import END_SECS, START_SECS, Served, serving, until
from tests.integration.gateway.sending import NO_ANSWER, OUT_OF_RESOURCES, SUCCESS, send_raw

UNAVAILABLE = 503
ROLES = ("engine", "pipeline", "web", "gateway")


@pytest.fixture(scope="module")
def whole() -> Iterator[Served]:
    """A hub of its own with all its processes."""
    with serving(community({"his": {}, "imaging": IMAGING})) as hub:
        asyncio.run(hub.start())
        yield hub


async def store(hub: Served, files: list[Path]) -> list[int]:
    return await asyncio.to_thread(send_raw, hub.run["dicom"]["port"], files)


async def search(hub: Served) -> int | None:
    """The status of a search; None when nobody listens."""
    token = (hub.data / "admin.token").read_text().strip()
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            answer = await client.get(
                f"{hub.run['http']}/fhir/Patient", headers={"Authorization": f"Bearer {token}"}, timeout=END_SECS
            )
        except httpx.TransportError:
            return None
    return answer.status_code


async def in_service(hub: Served, files: list[Path]) -> None:
    async def answers() -> bool:
        return await search(hub) == httpx.codes.OK and await store(hub, files) == [SUCCESS] * len(files)

    await until("web and gateway serve", answers, within_secs=START_SECS)


async def test_web_and_gateway_refuse_clearly_without_postgres_and_serve_again_with_it(
    whole: Served, tmp_path: Path
) -> None:
    files = made_objects(tmp_path / "objects", 3)
    await in_service(whole, files[:1])
    await whole.kill("postgres")
    assert await search(whole) in (UNAVAILABLE, httpx.codes.OK), "or it was back already"
    assert set(await store(whole, files[1:2])) <= {OUT_OF_RESOURCES, SUCCESS}
    await in_service(whole, files)


@pytest.mark.parametrize("role", ["web", "gateway"])
async def test_a_killed_process_comes_back_at_its_address(whole: Served, tmp_path: Path, role: str) -> None:
    files = made_objects(tmp_path / "objects", 2)
    before = whole.run
    whole.supervisor.suspend()  # it would start another one before anybody has missed it
    try:
        await whole.kill(role)
        if role == "gateway":
            assert await store(whole, files) == [NO_ANSWER, NO_ANSWER]
        else:
            assert await search(whole) is None
    finally:
        whole.supervisor.resume()
    await whole.revived(role)
    await in_service(whole, files)
    assert whole.run == before


async def test_the_supervisor_killed_leaves_nothing_running_and_a_fresh_start_goes_on(whole: Served) -> None:
    load = Load("S", 1_000)
    family = [whole.supervisor, *whole.supervisor.children(recursive=True)]
    assert all(whole.process(role) in family for role in ROLES)
    assert len([process for process in family if "postgres" in process.name()]) > 3
    first = asyncio.create_task(load.send(whole))
    await load.at(0.5)
    whole.supervisor.kill()
    first.cancel()
    await asyncio.wait([first])
    await asyncio.to_thread(psutil.wait_procs, family, END_SECS)
    assert whole.left_running() == []

    acknowledged, load.acknowledged = load.acknowledged, []
    await whole.start()
    await load.send(whole)
    assert set(acknowledged) <= set(load.acknowledged)
    await every_message_is_journaled_once(whole, load)
    await every_message_is_processed_once(whole, load)
    await whole.stop()
