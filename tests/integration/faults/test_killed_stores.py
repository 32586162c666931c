"""Every object answered 0000 is there, whole and once, however often the gateway is killed while objects arrive."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from pacs_gateway.location import Objects, open_object
from tests.integration.faults.community import community
from tests.integration.faults.conftest import Serve
from tests.integration.faults.objects import IMAGING, made_objects
from tests.integration.faults.serving import Served, until
from tests.integration.gateway.sending import SUCCESS, data_set_of, send_raw, settled, spooled

ASSOCIATIONS = 8
OBJECTS = 400
MORE = 20
"""How many an association sends besides, again and again, should the first be stored before the last kill."""
KILLS = 6


async def test_the_gateway_killed_six_times_while_eight_associations_store(serve: Serve, tmp_path: Path) -> None:
    hub = serve(community({"his": {}, "imaging": IMAGING}))
    await hub.start()
    files = made_objects(tmp_path / "objects", OBJECTS)
    answered: set[str] = set()
    lost = 0
    killed = asyncio.Event()

    async def association(lane: Sequence[Path], more: Path) -> None:
        """Sends on after each kill what was not answered, as a modality does, and more until nobody kills any more."""
        nonlocal lost
        left = list(lane)
        while left or not killed.is_set():
            if not left:
                left = await asyncio.to_thread(made_objects, more / str(len(files)), MORE)
                files.extend(left)
            statuses = await asyncio.to_thread(send_raw, hub.run["dicom"]["port"], left)
            done = [file for file, status in zip(left, statuses, strict=True) if status == SUCCESS]
            answered.update(uid_of(file) for file in done)
            lost += len(done) < len(left)
            left = [file for file in left if file not in done]

    async with asyncio.TaskGroup() as all_of_them:
        for number in range(ASSOCIATIONS):
            all_of_them.create_task(association(files[number:OBJECTS:ASSOCIATIONS], tmp_path / f"more-{number}"))
        await kill_now_and_then(hub)
        killed.set()
    assert lost > 0, "no association was ever lost: nothing was tried"
    assert answered == {uid_of(file) for file in files}

    objects = hub.data / "objects"
    await settled(objects)
    async with hub.database() as database:
        rows = {row["sop_uid"]: row for row in await database.fetch("select * from instance")}
        assert len(await database.fetch("select 1 from instance where conflict")) == 0
    assert rows.keys() == answered
    for file in files:
        row, data = rows[uid_of(file)], data_set_of(file)
        with open_object(Objects(objects), row["location"]) as kept:
            assert kept.read().endswith(data)
        assert row["sha256"] == sha256(data).digest()
    assert spooled(objects) == []
    there = {str(path.relative_to(objects / "store")) for path in (objects / "store").rglob("*.dcm")}
    assert there == {row["location"] for row in rows.values()}
    await hub.stop()


async def kill_now_and_then(hub: Served) -> None:
    """Each time after a few more objects have been indexed since the gateway came back."""
    chance = random.Random(4)
    for _ in range(KILLS):
        async with hub.database() as database:
            before = await database.fetchval("select count(*) from instance")
            wanted = before + chance.randint(1, OBJECTS // (2 * KILLS))

            async def reached(enough: int = wanted) -> bool:
                count: int = await database.fetchval("select count(*) from instance")
                return count >= enough

            await until("more objects are indexed", reached)
        await hub.kill("gateway")
        await hub.revived("gateway")


def uid_of(file: Path) -> str:
    return file.name.removesuffix(".dcm")
