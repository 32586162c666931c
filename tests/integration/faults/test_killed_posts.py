"""Every object that STOW-RS answered as stored is there, whole and once, however often the web process is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import httpx

from engine.clock import now
from engine.store import access
from pacs_gateway.location import Objects, open_object
from tests.integration.faults.community import community
from tests.integration.faults.conftest import Serve
from tests.integration.faults.objects import IMAGING, made_objects
from tests.integration.faults.serving import Served, until
from tests.integration.gateway.sending import data_set_of, settled

CLIENTS = 4
OBJECTS = 96
TOGETHER = 4
SENDER = {"dr": {"display": "放射科", "facility": "baishi", "roles": ["sender"]}}


async def test_the_web_process_killed_twice_while_objects_are_posted(serve: Serve, tmp_path: Path) -> None:
    files = community({"his": {}, "imaging": IMAGING})
    files["users"] = {"users": SENDER}
    hub = serve(files)
    await hub.start()
    async with hub.database() as database:
        token = await access.issue(database, "dr", now())
    sent = made_objects(tmp_path / "objects", OBJECTS)
    answered: set[str] = set()
    posts = 0
    killed = asyncio.Event()

    async def client(lane: Sequence[Path]) -> None:
        """Posts a few at once, and again after a kill; what is stored already is answered as a repeat."""
        nonlocal posts
        left = list(lane)
        while left or not killed.is_set():
            batch = left[:TOGETHER] or list(lane[:TOGETHER])
            try:
                stored = await posted(hub, token, batch)
            except (httpx.HTTPError, OSError):
                await asyncio.sleep(0.05)
                continue
            posts += 1
            answered.update(stored)
            left = [file for file in left if uid_of(file) not in stored]

    def reached(enough: int) -> bool:
        return posts >= enough

    async with asyncio.TaskGroup() as all_of_them:
        for number in range(CLIENTS):
            all_of_them.create_task(client(sent[number::CLIENTS]))
        for pause in (2, 5):
            wanted = posts + pause
            await until("more posts are answered", partial(reached, wanted), within_secs=120)
            await hub.kill("web")
            await hub.revived("web")
        killed.set()
    assert answered == {uid_of(file) for file in sent}

    objects = hub.data / "objects"
    await settled(objects)
    async with hub.database() as database:
        rows = {row["sop_uid"]: row for row in await database.fetch("select * from instance")}
        assert await database.fetchval("select count(*) from instance") == len(sent)
    for file in sent:
        with open_object(Objects(objects), rows[uid_of(file)]["location"]) as kept:
            assert kept.read().endswith(data_set_of(file))
    await hub.stop()


async def posted(hub: Served, token: str, files: Sequence[Path]) -> set[str]:
    """The SOP Instance UIDs that are answered as stored."""
    body = b"".join(
        b"--between-objects\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % file.read_bytes() for file in files
    )
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=between-objects',
    }
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(
            f"{hub.run['http']}/dicomweb/studies", content=body + b"--between-objects--\r\n", headers=headers
        )
    told = answer.json().get("00081199", {}).get("Value", []) if answer.status_code in (200, 202) else []
    return {item["00081155"]["Value"][0] for item in told}


def uid_of(file: Path) -> str:
    return file.name.removesuffix(".dcm")
